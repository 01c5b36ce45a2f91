#include "sandbox/schema_keys.h"

#include <stddef.h>
#include <string.h>

static const char *const object_keys[] = {
    "name",        "label",     "labelPlural",     "keyPrefix",    "createable", "updateable",
    "deletable",   "queryable", "replicateable",   "changeEvents", "recycleBin", "listsSchema",
    "recordTypes", "fields",    "validationRules", "rows",         NULL};

static const char *const field_keys[] = {
    "name",
    "type",
    "label",
    "inlineHelpText",
    "length",
    "precision",
    "scale",
    "digits",
    "nillable",
    "unique",
    "caseSensitive",
    "externalId",
    "idLookup",
    "createable",
    "updateable",
    "filterable",
    "nameField",
    "defaultValue",
    "defaultValueFormula",
    "defaultedOnCreate",
    "picklistValues",
    "restrictedPicklist",
    "referenceTo",
    "relationshipName",
    "childRelationshipName",
    "cascadeDelete",
    "restrictedDelete",
    "compoundFieldName",
    "htmlFormatted",
    "showsLastFour",
    "displayFormat",
    "calculatedFormula",
    "formulaTreatBlanksAs",
    "summaryOperation",
    "summarizedField",
    "summaryForeignKey",
    "summaryFilter",
    "summaryFilterItems",
    "follows",
    "sql",
    NULL,
};

static const char *const rule_keys[] = {"errorConditionFormula", "errorMessage",
                                        "errorDisplayField", "active", NULL};
static const char *const type_keys[] = {"developerName", "name", "description", "active", NULL};
static const char *const value_keys[] = {"value", "label", "active", "defaultValue", NULL};
static const char *const item_keys[] = {"field", "operation", "value", NULL};
static const char *const follows_keys[] = {"field", "values", "otherwise", NULL};

static bool is_known(const char *const *keys, const char *key)
{
    for (; *keys != NULL; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

static bool check(const json_t *object, const char *const *keys, const char *what,
                  struct error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_known(keys, key))
            return error_set(
                err, ERROR_CONFIG,
                "there is no key \"%s\" in the definition of %s; docs/sandbox.md lists "
                "those there are",
                key, what);
    }
    return true;
}

static bool check_each(const json_t *list, const char *const *keys, const char *what,
                       struct error *err)
{
    size_t index;
    const json_t *each;

    json_array_foreach(list, index, each)
    {
        if (!check(each, keys, what, err))
            return false;
    }
    return true;
}

bool schema_keys_check_object(const json_t *object, struct error *err)
{
    return check(object, object_keys, "an object", err) &&
           check_each(json_object_get(object, "validationRules"), rule_keys, "a validation rule",
                      err) &&
           check_each(json_object_get(object, "recordTypes"), type_keys, "a record type", err);
}

bool schema_keys_check_field(const json_t *field, struct error *err)
{
    return check(field, field_keys, "a field", err) &&
           check_each(json_object_get(field, "picklistValues"), value_keys, "a picklist value",
                      err) &&
           check_each(json_object_get(field, "summaryFilterItems"), item_keys, "a filter item",
                      err) &&
           check(json_object_get(field, "follows"), follows_keys, "what a field follows", err);
}
