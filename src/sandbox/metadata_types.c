#include "sandbox/metadata_types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/metadata_summary.h"

enum { DEFAULT_TEXT = 255, DEFAULT_PRECISION = 18 };

/* The Metadata API's field types and describe's. Of several rows for one describe type, the first
 * tells it. */
static const struct type_row {
    const char *metadata;
    const char *describe;
    bool has_length;
    bool has_precision;
} type_rows[] = {
    {"Text", "string", true, false},
    {"AutoNumber", "string", false, false},
    {"Number", "double", false, true},
    {"Currency", "currency", false, true},
    {"Percent", "percent", false, true},
    {"Checkbox", "boolean", false, false},
    {"Date", "date", false, false},
    {"DateTime", "datetime", false, false},
    {"Time", "time", false, false},
    {"Email", "email", false, false},
    {"Phone", "phone", false, false},
    {"Url", "url", false, false},
    {"Picklist", "picklist", false, false},
    {"MultiselectPicklist", "multipicklist", false, false},
    {"TextArea", "textarea", false, false},
    {"LongTextArea", "textarea", true, false},
    {"Html", "textarea", true, false},
    {"Lookup", "reference", false, false},
    {"MasterDetail", "reference", false, false},
    {"EncryptedText", "encryptedstring", true, false},
    {"Summary", "double", false, false},
};

enum { TYPE_COUNT = sizeof(type_rows) / sizeof(type_rows[0]) };

static const char *text_in(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL && *text != '\0' ? text : NULL;
}

static bool bool_in(const json_t *json, const char *key)
{
    const char *text = text_in(json, key);

    return json_is_true(json_object_get(json, key)) ||
           (text != NULL && strcasecmp(text, "true") == 0);
}

static int int_in(const json_t *json, const char *key, int otherwise)
{
    const char *text = text_in(json, key);

    if (text != NULL)
        return atoi(text);
    const json_t *number = json_object_get(json, key);
    return json_is_number(number) ? (int)json_number_value(number) : otherwise;
}

static void copy_text(json_t *to, const char *to_key, const json_t *from, const char *key)
{
    if (text_in(from, key) != NULL)
        json_object_set(to, to_key, json_object_get(from, key));
}

static void copy_true(json_t *to, const json_t *from, const char *key)
{
    if (bool_in(from, key))
        json_object_set_new(to, key, json_true());
}

/* An element that came once is no array. */
static json_t *list_of(const json_t *json)
{
    if (json == NULL || json_is_null(json))
        return json_array();
    return json_is_array(json) ? json_incref((json_t *)json) : json_pack("[O]", json);
}

static const struct type_row *find_row(const char *name)
{
    for (size_t i = 0; name != NULL && i < TYPE_COUNT; i++)
        if (strcmp(type_rows[i].metadata, name) == 0)
            return &type_rows[i];
    return NULL;
}

/* ---- from metadata ---- */

static void define_picklist(json_t *field, const json_t *metadata)
{
    const json_t *set = json_object_get(metadata, "valueSet");
    const json_t *definition = json_object_get(set, "valueSetDefinition");
    json_t *given = list_of(json_object_get(definition, "value"));
    json_t *values = json_array();
    size_t index;
    const json_t *each;

    json_array_foreach(given, index, each)
    {
        const char *name = text_in(each, "fullName");
        const char *label = text_in(each, "label");

        if (name != NULL)
            json_array_append_new(values, json_pack("{s:s, s:s, s:b}", "value", name, "label",
                                                    label != NULL ? label : name, "defaultValue",
                                                    bool_in(each, "default")));
    }
    json_object_set_new(field, "picklistValues", values);
    json_object_set_new(field, "restrictedPicklist", json_boolean(bool_in(set, "restricted")));
    json_decref(given);
}

/* "Invoice__c" has the relationship "Invoice__r". */
static bool define_reference(json_t *field, const json_t *metadata, const char *type,
                             struct error *err)
{
    const char *name = text_in(field, "name");
    const char *parent = text_in(metadata, "referenceTo");
    const char *children = text_in(metadata, "relationshipName");

    if (parent == NULL)
        return error_set(err, ERROR_CONFIG, "must specify 'referenceTo' for a field of type %s",
                         type);
    bool is_master = strcmp(type, "MasterDetail") == 0;
    const char *rule = text_in(metadata, "deleteConstraint");
    json_object_set_new(field, "referenceTo", json_pack("[s]", parent));
    json_object_set_new(field, "relationshipName",
                        json_sprintf("%.*sr", (int)strlen(name) - 1, name));
    if (children != NULL)
        json_object_set_new(field, "childRelationshipName", json_sprintf("%s__r", children));
    if (is_master || (rule != NULL && strcmp(rule, "Cascade") == 0))
        json_object_set_new(field, "cascadeDelete", json_true());
    if (rule != NULL && strcmp(rule, "Restrict") == 0)
        json_object_set_new(field, "restrictedDelete", json_true());
    if (is_master) {
        json_object_set_new(field, "nillable", json_false());
        json_object_set_new(field, "updateable",
                            json_boolean(bool_in(metadata, "reparentableMasterDetail")));
    }
    return true;
}

static void define_sizes(json_t *field, const json_t *metadata, const struct type_row *row)
{
    if (row->has_length)
        json_object_set_new(field, "length",
                            json_integer(int_in(metadata, "length", DEFAULT_TEXT)));
    if (row->has_precision) {
        json_object_set_new(field, "precision",
                            json_integer(int_in(metadata, "precision", DEFAULT_PRECISION)));
        json_object_set_new(field, "scale", json_integer(int_in(metadata, "scale", 0)));
    }
}

/* A default is a formula: of these, constants are understood. */
static bool define_default(json_t *field, const json_t *metadata, struct error *err)
{
    const char *text = text_in(metadata, "defaultValue");
    size_t length = text != NULL ? strlen(text) : 0;

    if (json_is_boolean(json_object_get(metadata, "defaultValue"))) {
        json_object_set(field, "defaultValue", json_object_get(metadata, "defaultValue"));
        return true;
    }
    if (text == NULL)
        return true;
    bool is_quoted = length >= 2 && strchr("\"'", *text) != NULL && text[length - 1] == *text;
    if (!is_quoted && strpbrk(text, "()&$") != NULL)
        return error_set(err, ERROR_CONFIG,
                         "a default value that is a formula is not supported: %s", text);
    json_object_set_new(field, "defaultValue",
                        is_quoted ? json_stringn(text + 1, length - 2) : json_string(text));
    return true;
}

json_t *metadata_types_define_field(const struct schema *schema, const char *name,
                                    const json_t *metadata, struct error *err)
{
    const char *type = text_in(metadata, "type");
    const struct type_row *row = find_row(type);

    if (row == NULL) {
        error_set(err, ERROR_CONFIG, "field %s: the type %s is not supported", name,
                  type != NULL ? type : "(none)");
        return NULL;
    }
    json_t *field = json_pack("{s:s, s:s}", "name", name, "type", row->describe);
    copy_text(field, "label", metadata, "label");
    copy_text(field, "inlineHelpText", metadata, "inlineHelpText");
    copy_text(field, "calculatedFormula", metadata, "formula");
    copy_true(field, metadata, "unique");
    copy_true(field, metadata, "externalId");
    copy_true(field, metadata, "caseSensitive");
    if (bool_in(metadata, "required"))
        json_object_set_new(field, "nillable", json_false());
    if (strcmp(type, "AutoNumber") == 0)
        json_object_set_new(field, "displayFormat",
                            json_string(text_in(metadata, "displayFormat") != NULL
                                            ? text_in(metadata, "displayFormat")
                                            : "{0}"));
    if (strcmp(type, "Html") == 0)
        json_object_set_new(field, "htmlFormatted", json_true());
    define_sizes(field, metadata, row);
    if (strstr(row->describe, "picklist") != NULL)
        define_picklist(field, metadata);
    if ((strcmp(row->describe, "reference") == 0 &&
         !define_reference(field, metadata, type, err)) ||
        (strcmp(type, "Summary") == 0 && !metadata_summary_define(schema, field, metadata, err)) ||
        !define_default(field, metadata, err)) {
        error_prefix(err, "field %s", name);
        json_decref(field);
        return NULL;
    }
    return field;
}

/* The Name of a custom object: text, or a number given automatically. */
static json_t *define_name(const json_t *metadata)
{
    const json_t *given = json_object_get(metadata, "nameField");
    const char *type = text_in(given, "type");
    const char *format = text_in(given, "displayFormat");
    json_t *name = json_pack("{s:s, s:s, s:i, s:b, s:b}", "name", "Name", "type", "string",
                             "length", 80, "nameField", 1, "idLookup", 1);

    copy_text(name, "label", given, "label");
    if (type != NULL && strcmp(type, "AutoNumber") == 0)
        json_object_set_new(name, "displayFormat", json_string(format != NULL ? format : "{0}"));
    else
        json_object_set_new(name, "defaultedOnCreate", json_true());
    return name;
}

json_t *metadata_types_define_object(const struct schema *schema, const char *name,
                                     const json_t *metadata, struct error *err)
{
    json_t *object = json_pack("{s:s, s:[]}", "name", name, "fields");
    json_t *fields = json_object_get(object, "fields");
    json_t *given = list_of(json_object_get(metadata, "fields"));
    size_t index;
    const json_t *each;

    copy_text(object, "label", metadata, "label");
    copy_text(object, "labelPlural", metadata, "pluralLabel");
    json_array_append_new(fields, define_name(metadata));
    json_array_foreach(given, index, each)
    {
        const char *field_name = text_in(each, "fullName");
        json_t *field =
            metadata_types_define_field(schema, field_name != NULL ? field_name : "", each, err);

        if (field == NULL) {
            json_decref(given);
            json_decref(object);
            return NULL;
        }
        json_array_append_new(fields, field);
    }
    json_decref(given);
    return object;
}

/* ---- to metadata ---- */

static const char *tell_type(const struct field *field)
{
    bool is_text_area = strcmp(field->type->name, "textarea") == 0;

    if (field->auto_format != NULL)
        return "AutoNumber";
    if (field->rollup != NULL)
        return "Summary";
    if (is_text_area && field->is_rich_text)
        return "Html";
    if (is_text_area && field->length > DEFAULT_TEXT)
        return "LongTextArea";
    if (field->reference_count > 0 && field->cascades_delete && !field->is_nillable)
        return "MasterDetail";
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (strcmp(type_rows[i].describe, field->type->name) == 0)
            return type_rows[i].metadata;
    return "Text";
}

static json_t *tell_picklist(const struct field *field)
{
    json_t *values = json_array();

    for (size_t i = 0; i < field->picklist_count; i++) {
        const struct picklist_value *value = &field->picklist[i];

        json_array_append_new(values,
                              json_pack("{s:s, s:b, s:s}", "fullName", value->value, "default",
                                        value->is_default, "label", value->label));
    }
    return json_pack("{s:b, s:{s:b, s:o}}", "restricted", field->is_restricted_picklist,
                     "valueSetDefinition", "sorted", 0, "value", values);
}

/* "Projects__r" is given as "Projects". */
static void tell_reference(json_t *json, const struct field *field)
{
    const char *children = field->child_relationship;

    json_object_set_new(json, "referenceTo", json_string(field->reference_to[0]));
    if (children != NULL)
        json_object_set_new(
            json, "relationshipName",
            json_stringn(children, strlen(children) - (strlen(children) > 3 ? 3 : 0)));
}

json_t *metadata_types_tell_field(const struct field *field)
{
    const char *type = tell_type(field);
    const struct type_row *row = find_row(type);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "fullName", field->name, "label", field->label,
                  "type", type, "externalId", field->is_external_id, "unique", field->is_unique,
                  "required", !field->is_nillable && field->is_createable);

    if (row != NULL && row->has_length)
        json_object_set_new(json, "length", json_integer(field->length));
    if (row != NULL && row->has_precision) {
        json_object_set_new(json, "precision", json_integer(field->precision));
        json_object_set_new(json, "scale", json_integer(field->scale));
    }
    if (field->auto_format != NULL)
        json_object_set_new(json, "displayFormat", json_string(field->auto_format));
    if (field->formula != NULL)
        json_object_set_new(json, "formula", json_string(field->formula));
    if (field->rollup != NULL)
        metadata_summary_tell(json, field->rollup);
    if (field->help != NULL)
        json_object_set_new(json, "inlineHelpText", json_string(field->help));
    if (field->default_text != NULL && field->picklist_count == 0)
        json_object_set_new(json, "defaultValue", json_string(field->default_text));
    if (field->picklist_count > 0)
        json_object_set_new(json, "valueSet", tell_picklist(field));
    if (field->reference_count > 0)
        tell_reference(json, field);
    return json;
}

json_t *metadata_types_tell_object(const struct object *object)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[]}", "fullName", object->name, "label",
                             object->label, "pluralLabel", object->label_plural, "deploymentStatus",
                             "Deployed", "sharingModel", "ReadWrite", "fields");

    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (field->is_custom && !field->is_hidden)
            json_array_append_new(json_object_get(json, "fields"),
                                  metadata_types_tell_field(field));
        if (field->is_name && object->is_custom)
            json_object_set_new(json, "nameField",
                                json_pack("{s:s, s:s}", "label", field->label, "type",
                                          field->auto_format != NULL ? "AutoNumber" : "Text"));
    }
    return json;
}
