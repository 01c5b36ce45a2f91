#include "sandbox/describe.h"

#include <string.h>

#include "sandbox/conditions.h"
#include "sandbox/recent.h"
#include "sandbox/record_types.h"

enum { BYTES_PER_CHARACTER = 3, MAX_RECENT = 20 };

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void set_bool(json_t *object, const char *key, bool value)
{
    set(object, key, json_boolean(value));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, text != NULL ? json_string(text) : json_null());
}

static void set_int(json_t *object, const char *key, int number)
{
    set(object, key, json_integer(number));
}

/* Members that are the same for every object or field here: NULL ends the list. */
static void set_all(json_t *object, const char *const *keys, json_t *value)
{
    for (; *keys != NULL; keys++)
        json_object_set(object, *keys, value);
    json_decref(value);
}

/* ---- objects ---- */

static json_t *list_urls(struct call *call, const struct object *object)
{
    const char *url = call_url(call, "/sobjects/%s", object->name);

    return json_pack("{s:s, s:o, s:o}", "sobject", url, "describe",
                     json_sprintf("%s/describe", url), "rowTemplate", json_sprintf("%s/{ID}", url));
}

static json_t *describe_head(struct call *call, const struct object *object)
{
    static const char *const no[] = {
        "customSetting", "deepCloneable", "deprecatedAndHidden", "feedEnabled", "hasSubtypes",
        "isInterface",   "isSubtype",     "mergeable",           "mruEnabled",  NULL};
    static const char *const yes[] = {"layoutable", "retrieveable", "searchable", "triggerable",
                                      NULL};
    static const char *const nothing[] = {"associateEntityType", "associateParentEntity", NULL};
    json_t *json = json_object();

    set_bool(json, "activateable", false);
    set_bool(json, "createable", object->is_createable);
    set_bool(json, "custom", object->is_custom);
    set_bool(json, "deletable", object->is_deletable);
    set_bool(json, "queryable", object->is_queryable);
    set_bool(json, "replicateable", object->is_replicateable);
    set_bool(json, "undeletable", object->is_deletable && object->has_recycle_bin);
    set_bool(json, "updateable", object->is_updateable);
    set_text(json, "name", object->name);
    set_text(json, "label", object->label);
    set_text(json, "labelPlural", object->label_plural);
    set_text(json, "keyPrefix", object->key_prefix);
    set_all(json, no, json_false());
    set_all(json, yes, json_true());
    set_all(json, nothing, json_null());
    set(json, "urls", list_urls(call, object));
    return json;
}

void describe_global(struct call *call)
{
    if (!conditions_describe(call))
        return;
    json_t *list = json_array();

    for (size_t i = 0; i < schema_count(call->org->schema); i++)
        if (!schema_at(call->org->schema, i)->is_hidden)
            json_array_append_new(list, describe_head(call, schema_at(call->org->schema, i)));
    call_json(
        call, 200,
        json_pack("{s:s, s:i, s:o}", "encoding", "UTF-8", "maxBatchSize", 200, "sobjects", list));
}

void describe_basic(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (object != NULL)
        call_json(call, 200,
                  json_pack("{s:o, s:o}", "objectDescribe", describe_head(call, object),
                            "recentItems", recent_list(call, object, MAX_RECENT)));
}

/* ---- fields ---- */

static json_t *list_picklist(const struct field *field)
{
    json_t *list = json_array();

    for (size_t i = 0; i < field->picklist_count; i++) {
        const struct picklist_value *value = &field->picklist[i];

        json_array_append_new(list,
                              json_pack("{s:b, s:b, s:s, s:n, s:s}", "active", value->is_active,
                                        "defaultValue", value->is_default, "label", value->label,
                                        "validFor", "value", value->value));
    }
    return list;
}

static json_t *list_references(const struct field *field)
{
    json_t *list = json_array();

    for (size_t i = 0; i < field->reference_count; i++)
        json_array_append_new(list, json_string(field->reference_to[i]));
    return list;
}

static json_t *write_default(const struct field *field)
{
    if (field->default_text == NULL)
        return json_null();
    if (field->type->kind == KIND_BOOLEAN)
        return json_boolean(strcmp(field->default_text, "true") == 0);
    return json_string(field->default_text);
}

static const char *extra_type(const struct field *field)
{
    if (strcmp(field->type->name, "textarea") != 0)
        return NULL;
    return field->is_rich_text ? "richtextarea" : "plaintextarea";
}

static void set_sizes(json_t *json, const struct field *field)
{
    set_int(json, "length", field->length);
    set_int(json, "byteLength", field->length * BYTES_PER_CHARACTER);
    if (field->type->kind == KIND_ID)
        set_int(json, "byteLength", field->length);
    set_int(json, "digits", field->digits);
    set_int(json, "precision", field->precision);
    set_int(json, "scale", field->scale);
}

static void set_rights(json_t *json, const struct field *field)
{
    set_bool(json, "createable", field->is_createable);
    set_bool(json, "updateable", field->is_updateable);
    set_bool(json, "nillable", field->is_nillable);
    set_bool(json, "defaultedOnCreate",
             field->is_defaulted_on_create || field->type->kind == KIND_BOOLEAN);
    set_bool(json, "calculated", field->formula != NULL || field->rollup != NULL);
    set_text(json, "calculatedFormula", field->formula);
    set_text(json, "defaultValueFormula", field->default_formula);
    set_bool(json, "formulaTreatNullNumberAsZero", field->formula != NULL && !field->keeps_blanks);
    set_bool(json, "autoNumber", field->auto_format != NULL);
    set_bool(json, "unique", field->is_unique);
    set_bool(json, "caseSensitive", field->is_case_sensitive);
    set_bool(json, "externalId", field->is_external_id);
    set_bool(json, "idLookup", field->is_id_lookup);
    set_bool(json, "filterable", field->is_filterable);
    set_bool(json, "sortable", schema_is_sortable(field));
    set_bool(json, "groupable", schema_is_groupable(field));
    set_bool(json, "aggregatable", schema_is_sortable(field) && field->type->kind != KIND_BOOLEAN);
    set_bool(json, "permissionable", field->is_nillable && field->is_createable);
}

static void set_relations(json_t *json, const struct field *field)
{
    set(json, "referenceTo", list_references(field));
    set_text(json, "relationshipName", field->relationship);
    set_bool(json, "polymorphicForeignKey", field->reference_count > 1);
    set_bool(json, "namePointing", field->reference_count > 1);
    set_bool(json, "cascadeDelete", field->cascades_delete);
    set_bool(json, "restrictedDelete", field->restricts_delete);
    set(json, "picklistValues", list_picklist(field));
    set_bool(json, "restrictedPicklist", field->is_restricted_picklist);
}

static void set_mask(json_t *json, const struct field *field)
{
    bool is_encrypted = strcmp(field->type->name, "encryptedstring") == 0;

    set_bool(json, "encrypted", is_encrypted);
    set_text(json, "mask", is_encrypted ? "*" : NULL);
    set_text(json, "maskType", !is_encrypted ? NULL : field->shows_last_four ? "lastFour" : "all");
}

static json_t *describe_field(const struct field *field)
{
    static const char *const no[] = {
        "aiPredictionField",        "dependentPicklist",       "deprecatedAndHidden",
        "displayLocationInDecimal", "highScaleNumber",         "queryByDistance",
        "searchPrefilterable",      "writeRequiresMasterRead", NULL};
    static const char *const nothing[] = {"controllerName", "filteredLookupInfo",
                                          "referenceTargetField", "relationshipOrder", NULL};
    json_t *json = json_object();

    set_text(json, "name", field->name);
    set_text(json, "label", field->label);
    set_text(json, "type", field->type->name);
    set_text(json, "soapType", field->type->soap_type);
    set_text(json, "extraTypeInfo", extra_type(field));
    set_text(json, "compoundFieldName", field->compound);
    set_text(json, "inlineHelpText", field->help);
    set_bool(json, "custom", field->is_custom);
    set_bool(json, "nameField", field->is_name);
    set_bool(json, "htmlFormatted", field->is_rich_text);
    set_mask(json, field);
    set(json, "defaultValue", write_default(field));
    set_sizes(json, field);
    set_rights(json, field);
    set_relations(json, field);
    set_all(json, no, json_false());
    set_all(json, nothing, json_null());
    return json;
}

/* ---- the whole object ---- */

static json_t *describe_child(const struct object *child, const struct field *field)
{
    return json_pack("{s:b, s:s, s:b, s:s, s:[], s:[], s:s?, s:b}", "cascadeDelete",
                     field->cascades_delete, "childSObject", child->name, "deprecatedAndHidden", 0,
                     "field", field->name, "junctionIdListNames", "junctionReferenceTo",
                     "relationshipName", field->child_relationship, "restrictedDelete",
                     field->restricts_delete);
}

static json_t *list_children(struct call *call, const struct object *object)
{
    json_t *list = json_array();

    for (size_t i = 0; i < schema_count(call->org->schema); i++) {
        const struct object *child = schema_at(call->org->schema, i);

        for (size_t j = 0; j < child->field_count && !child->is_hidden; j++)
            if (schema_field_refers_to(child->fields[j], object))
                json_array_append_new(list, describe_child(child, child->fields[j]));
    }
    return list;
}

static void set_unused(json_t *json)
{
    static const char *const empty[] = {"actionOverrides", "namedLayoutInfos", NULL};
    static const char *const nothing[] = {"defaultImplementation", "extendedBy",
                                          "extendsInterfaces",     "implementedBy",
                                          "implementsInterfaces",  "listviewable",
                                          "lookupLayoutable",      "networkScopeFieldName",
                                          "sobjectDescribeOption", NULL};
    static const char *const yes[] = {"compactLayoutable", "searchLayoutable", NULL};

    set_all(json, empty, json_array());
    set_all(json, nothing, json_null());
    set_all(json, yes, json_true());
}

void describe_object(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);

    if (object == NULL || !conditions_describe(call))
        return;
    json_t *json = describe_head(call, object);
    json_t *fields = json_array();
    for (size_t i = 0; i < object->field_count; i++)
        if (!object->fields[i]->is_hidden)
            json_array_append_new(fields, describe_field(object->fields[i]));
    set(json, "fields", fields);
    set(json, "childRelationships", list_children(call, object));
    set(json, "recordTypeInfos", record_types_describe(call, object));
    set(json, "supportedScopes",
        json_pack("[{s:s, s:s}, {s:s, s:s}]", "label", "All records", "name", "everything", "label",
                  "My records", "name", "mine"));
    set_unused(json);
    call_json(call, 200, json);
}
