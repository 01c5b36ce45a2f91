#include "sandbox/schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "sandbox/follows.h"
#include "sandbox/ids.h"
#include "sandbox/schema_keys.h"
#include "sandbox/schema_types.h"

enum {
    MAX_FIELDS = 1900,
    MAX_OBJECTS = 5000,
    MAX_NAME_BYTES = 80,
    KEY_PREFIX_BYTES = 3,
    MAX_RULES = 500,
    FORMULA_LENGTH = 1300, /* what describe says of a text formula */
};

extern const char sandbox_objects_system[];

struct schema {
    struct arena *arena;
    const struct object **objects;
    size_t count;
    size_t room;
    json_t *common; /* a field that every object with a recycle bin has too; or NULL */
    json_t *system; /* the fields every object has: objects/system.json */
};

/* ---- reading JSON ---- */

static const char *get_text(struct schema *schema, const json_t *object, const char *key,
                            const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? arena_strdup(schema->arena, text) : otherwise;
}

static bool get_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static int get_int(const json_t *object, const char *key, int otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? (int)json_integer_value(value) : otherwise;
}

/* Names go into SQL between quotes: letters, digits and underscores only. */
static bool is_name(const char *name)
{
    if (name == NULL || !isalpha((unsigned char)*name) || strlen(name) > MAX_NAME_BYTES)
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcasecmp(text + length - end_length, end) == 0;
}

static void read_picklist(struct schema *schema, const json_t *json, struct field *field)
{
    const json_t *values = json_object_get(json, "picklistValues");
    size_t index;
    const json_t *value;

    field->picklist =
        arena_array(schema->arena, struct picklist_value, json_array_size(values) + 1);
    json_array_foreach(values, index, value)
    {
        const char *plain = json_string_value(value);
        const char *text = plain != NULL ? arena_strdup(schema->arena, plain)
                                         : get_text(schema, value, "value", "");

        field->picklist[field->picklist_count++] = (struct picklist_value){
            .value = text,
            .label = get_text(schema, value, "label", text),
            .is_active = get_bool(value, "active", true),
            .is_default = get_bool(value, "defaultValue", false),
        };
    }
}

static void read_references(struct schema *schema, const json_t *json, struct field *field)
{
    const json_t *names = json_object_get(json, "referenceTo");
    size_t index;
    const json_t *name;

    field->reference_to = arena_array(schema->arena, const char *, json_array_size(names) + 1);
    json_array_foreach(names, index, name) if (json_is_string(name))
        field->reference_to[field->reference_count++] =
        arena_strdup(schema->arena, json_string_value(name));
    field->relationship = get_text(schema, json, "relationshipName", NULL);
    field->child_relationship = get_text(schema, json, "childRelationshipName", NULL);
    field->cascades_delete = get_bool(json, "cascadeDelete", false);
    field->restricts_delete = get_bool(json, "restrictedDelete", false);
}

static void read_default(struct schema *schema, const json_t *json, struct field *field)
{
    const json_t *value = json_object_get(json, "defaultValue");

    if (json_is_string(value))
        field->default_text = arena_strdup(schema->arena, json_string_value(value));
    else if (json_is_boolean(value))
        field->default_text = json_is_true(value) ? "true" : "false";
    else if (json_is_number(value))
        field->default_text = arena_printf(schema->arena, "%.15g", json_number_value(value));
    for (size_t i = 0; i < field->picklist_count && field->default_text == NULL; i++)
        if (field->picklist[i].is_default)
            field->default_text = field->picklist[i].value;
    if (field->type->kind == KIND_BOOLEAN && field->default_text == NULL)
        field->default_text = "false";
}

static void read_numbers(const json_t *json, struct field *field)
{
    enum field_kind kind = field->type->kind;

    int length = field->formula != NULL && kind == KIND_TEXT ? FORMULA_LENGTH : field->type->length;
    field->length = get_int(json, "length", length);
    if (kind == KIND_REAL) {
        field->precision = get_int(json, "precision", 18);
        field->scale = get_int(json, "scale", strcmp(field->type->name, "currency") == 0 ? 2 : 0);
    }
    if (kind == KIND_INTEGER)
        field->digits = get_int(json, "digits", strcmp(field->type->name, "long") == 0 ? 18 : 9);
}

static void read_flags(const json_t *json, struct field *field)
{
    bool is_computed = field->formula != NULL || field->rollup != NULL || field->sql != NULL ||
                       field->auto_format != NULL || field->type->kind == KIND_COMPOUND;
    bool is_long = (strcmp(field->type->name, "textarea") == 0 && field->length > 255) ||
                   strcmp(field->type->name, "base64") == 0;

    bool is_derived = field->formula != NULL || field->rollup != NULL;
    field->is_createable = !is_derived && get_bool(json, "createable", !is_computed);
    field->is_updateable = !is_derived && get_bool(json, "updateable", field->is_createable);
    field->is_nillable = get_bool(
        json, "nillable", field->type->kind != KIND_BOOLEAN && (!is_computed || is_derived));
    field->is_defaulted_on_create =
        get_bool(json, "defaultedOnCreate",
                 field->default_text != NULL || field->default_formula != NULL ||
                     field->auto_format != NULL);
    field->is_unique = !is_derived && get_bool(json, "unique", false);
    field->is_case_sensitive = get_bool(json, "caseSensitive", false);
    field->is_external_id = !is_derived && get_bool(json, "externalId", false);
    field->is_id_lookup =
        !is_derived &&
        get_bool(json, "idLookup", field->is_external_id || strcmp(field->type->name, "id") == 0);
    field->is_name = get_bool(json, "nameField", strcmp(field->name, "Name") == 0);
    bool is_encrypted = strcmp(field->type->name, "encryptedstring") == 0;
    field->is_filterable = get_bool(json, "filterable", !is_long && !is_encrypted);
    field->shows_last_four = is_encrypted && get_bool(json, "showsLastFour", false);
    field->is_restricted_picklist = get_bool(json, "restrictedPicklist", false);
    field->is_rich_text = get_bool(json, "htmlFormatted", false);
}

static void read_formula(struct schema *schema, const json_t *json, struct field *field)
{
    const char *blanks = json_string_value(json_object_get(json, "formulaTreatBlanksAs"));

    field->formula = get_text(schema, json, "calculatedFormula", NULL);
    field->default_formula = get_text(schema, json, "defaultValueFormula", NULL);
    field->sql = get_text(schema, json, "sql", NULL);
    field->keeps_blanks = blanks != NULL && strcasecmp(blanks, "BlankAsBlank") == 0;
}

static void read_rollup(struct schema *schema, const json_t *json, struct field *field)
{
    const char *operation = get_text(schema, json, "summaryOperation", NULL);

    if (operation == NULL)
        return;
    char *items = json_dumps(json_object_get(json, "summaryFilterItems"), JSON_COMPACT);
    field->rollup = arena_alloc(schema->arena, sizeof(*field->rollup));
    *field->rollup = (struct rollup){
        .operation = operation,
        .key_name = get_text(schema, json, "summaryForeignKey", NULL),
        .source_name = get_text(schema, json, "summarizedField", NULL),
        .filter_text = get_text(schema, json, "summaryFilter", NULL),
        .items_text = items != NULL ? arena_strdup(schema->arena, items) : NULL,
    };
    free(items);
}

const struct field *schema_read_field(struct schema *schema, const json_t *json, struct error *err)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *type_name = json_string_value(json_object_get(json, "type"));
    const struct field_type *type = schema_types_find(type_name != NULL ? type_name : "string");

    if (!is_name(name)) {
        error_set(err, ERROR_CONFIG, "a field needs a name of letters, digits and underscores");
        return NULL;
    }
    if (type == NULL) {
        error_set(err, ERROR_CONFIG, "field %s: there is no type \"%s\"; use a describe type", name,
                  type_name);
        return NULL;
    }
    if (!schema_keys_check_field(json, err)) {
        error_prefix(err, "field %s", name);
        return NULL;
    }
    struct field *field = arena_alloc(schema->arena, sizeof(*field));
    field->type = type;
    field->name = arena_strdup(schema->arena, name);
    field->label = get_text(schema, json, "label", field->name);
    field->help = get_text(schema, json, "inlineHelpText", NULL);
    field->compound = get_text(schema, json, "compoundFieldName", NULL);
    read_formula(schema, json, field);
    read_rollup(schema, json, field);
    field->auto_format = get_text(schema, json, "displayFormat", NULL);
    field->is_custom = ends_with(name, "__c");
    field->follows = follows_read(schema->arena, json);
    read_picklist(schema, json, field);
    read_references(schema, json, field);
    read_default(schema, json, field);
    read_numbers(json, field);
    read_flags(json, field);
    return field;
}

/* ---- objects ---- */

static bool add_fields(struct schema *schema, struct object *object, const json_t *fields,
                       struct error *err)
{
    size_t total = object->field_count + json_array_size(fields);
    size_t index;
    const json_t *json;

    if (total > MAX_FIELDS)
        return error_set(err, ERROR_CONFIG, "object %s: at most %d fields", object->name,
                         MAX_FIELDS);
    const struct field **grown = arena_array(schema->arena, const struct field *, total + 1);
    for (size_t i = 0; i < object->field_count; i++)
        grown[i] = object->fields[i];
    object->fields = grown;
    json_array_foreach(fields, index, json)
    {
        const struct field *field = schema_read_field(schema, json, err);

        if (field == NULL)
            return error_prefix(err, "object %s", object->name);
        if (schema_field(object, field->name) != NULL)
            continue;
        ((struct field *)field)->index = object->field_count;
        grown[object->field_count++] = field;
    }
    return true;
}

static bool add_rules(struct schema *schema, struct object *object, const json_t *rules,
                      struct error *err)
{
    size_t total = object->rule_count + json_array_size(rules);
    size_t index;
    const json_t *json;

    if (total > MAX_RULES)
        return error_set(err, ERROR_CONFIG, "object %s: at most %d validation rules", object->name,
                         MAX_RULES);
    struct validation_rule *grown = arena_array(schema->arena, struct validation_rule, total + 1);
    for (size_t i = 0; i < object->rule_count; i++)
        grown[i] = object->rules[i];
    object->rules = grown;
    json_array_foreach(rules, index, json)
    {
        const struct validation_rule rule = {
            .text = get_text(schema, json, "errorConditionFormula", NULL),
            .message = get_text(schema, json, "errorMessage", NULL),
            .field = get_text(schema, json, "errorDisplayField", NULL),
            .is_active = get_bool(json, "active", true),
        };

        if (rule.text == NULL || rule.message == NULL)
            return error_set(err, ERROR_CONFIG,
                             "object %s: a validation rule needs \"errorConditionFormula\" and "
                             "\"errorMessage\"",
                             object->name);
        grown[object->rule_count++] = rule;
    }
    return true;
}

static struct object *new_object(struct schema *schema, const json_t *json, const char *name)
{
    struct object *object = arena_alloc(schema->arena, sizeof(*object));

    object->name = arena_strdup(schema->arena, name);
    object->label = get_text(schema, json, "label", object->name);
    object->label_plural =
        get_text(schema, json, "labelPlural", arena_printf(schema->arena, "%ss", object->label));
    object->is_custom = ends_with(name, "__c");
    object->is_createable = get_bool(json, "createable", true);
    object->is_updateable = get_bool(json, "updateable", object->is_createable);
    object->is_deletable = get_bool(json, "deletable", object->is_createable);
    object->is_queryable = get_bool(json, "queryable", true);
    object->is_replicateable = get_bool(json, "replicateable", true);
    object->has_change_events = get_bool(json, "changeEvents", true);
    object->lists_schema = get_bool(json, "listsSchema", false);
    object->has_recycle_bin = get_bool(json, "recycleBin", true);
    object->rows = json_incref(json_object_get(json, "rows"));
    return object;
}

static bool set_key_prefix(struct schema *schema, struct object *object, const json_t *json,
                           struct error *err)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const char *prefix = get_text(schema, json, "keyPrefix", NULL);

    for (int i = 0; prefix == NULL && i < 36 * 36; i++) {
        const char *candidate =
            arena_printf(schema->arena, "a%c%c", digits[i / 36], digits[i % 36]);

        if (schema_find_prefix(schema, candidate) == NULL)
            prefix = candidate;
    }
    if (prefix == NULL || strlen(prefix) != KEY_PREFIX_BYTES || !isalnum((unsigned char)prefix[0]))
        return error_set(err, ERROR_CONFIG, "object %s: a key prefix has three characters",
                         object->name);
    if (schema_find_prefix(schema, prefix) != NULL)
        return error_set(err, ERROR_CONFIG, "object %s: key prefix %s is taken by %s", object->name,
                         prefix, schema_find_prefix(schema, prefix)->name);
    object->key_prefix = prefix;
    return true;
}

static void add_object(struct schema *schema, const struct object *object)
{
    if (schema->count == schema->room) {
        schema->room = schema->room > 0 ? schema->room * 2 : 64;
        schema->objects = memory_realloc(schema->objects, schema->room * sizeof(*schema->objects));
    }
    schema->objects[schema->count++] = object;
}

/* Only who has record types has a field for them. */
static bool add_own_fields(struct schema *schema, struct object *object, const json_t *json,
                           struct error *err)
{
    bool has_types = json_array_size(json_object_get(json, "recordTypes")) > 0;

    return add_fields(schema, object, json_object_get(json, "fields"), err) &&
           (!has_types ||
            add_fields(schema, object, json_object_get(schema->system, "recordType"), err)) &&
           (!object->has_recycle_bin || add_fields(schema, object, schema->common, err));
}

static bool fill_object(struct schema *schema, struct object *object, const json_t *json,
                        struct error *err)
{
    const char *custom = object->is_custom ? "custom" : "standard";

    return set_key_prefix(schema, object, json, err) &&
           add_fields(schema, object, json_object_get(schema->system, "head"), err) &&
           add_own_fields(schema, object, json, err) &&
           add_fields(schema, object, json_object_get(schema->system, custom), err) &&
           add_fields(schema, object, json_object_get(schema->system, "tail"), err) &&
           add_rules(schema, object, json_object_get(json, "validationRules"), err);
}

static bool define_one(struct schema *schema, const json_t *json, struct error *err)
{
    const char *name = json_string_value(json_object_get(json, "name"));

    if (!is_name(name))
        return error_set(err, ERROR_CONFIG,
                         "an object needs a name of letters, digits and underscores");
    if (!schema_keys_check_object(json, err))
        return error_prefix(err, "object %s", name);
    struct object *object = (struct object *)schema_find(schema, name);
    if (object != NULL)
        return add_own_fields(schema, object, json, err) &&
               add_rules(schema, object, json_object_get(json, "validationRules"), err);
    if (schema->count == MAX_OBJECTS)
        return error_set(err, ERROR_CONFIG, "at most %d objects", MAX_OBJECTS);
    object = new_object(schema, json, name);
    if (!fill_object(schema, object, json, err)) {
        json_decref(object->rows);
        return false;
    }
    if (!object->has_recycle_bin)
        ((struct field *)schema_field(object, "IsDeleted"))->is_hidden = true;
    add_object(schema, object);
    return true;
}

bool schema_define(struct schema *schema, const json_t *definition, struct error *err)
{
    const json_t *list = json_object_get(definition, "objects");
    size_t index;
    const json_t *each;

    if (list == NULL)
        list = definition;
    if (!json_is_array(list))
        return define_one(schema, list, err);
    json_array_foreach(list, index, each) if (!define_one(schema, each, err)) return false;
    return true;
}

struct schema *schema_new(void)
{
    struct schema *schema = memory_alloc(sizeof(*schema));

    schema->arena = arena_new();
    schema->system = json_loads(sandbox_objects_system, 0, NULL);
    return schema;
}

void schema_free(struct schema *schema)
{
    if (schema == NULL)
        return;
    for (size_t i = 0; i < schema->count; i++)
        json_decref(schema->objects[i]->rows);
    json_decref(schema->system);
    json_decref(schema->common);
    free(schema->objects);
    arena_free(schema->arena);
    free(schema);
}

struct arena *schema_arena(struct schema *schema)
{
    return schema->arena;
}

/* ---- taking back ---- */

struct schema_state {
    size_t count;
    struct object objects[]; /* copies: their lists are never changed in place, but replaced */
};

struct schema_state *schema_keep(const struct schema *schema)
{
    struct schema_state *state =
        memory_alloc(sizeof(*state) + schema->count * sizeof(state->objects[0]));

    state->count = schema->count;
    for (size_t i = 0; i < schema->count; i++)
        state->objects[i] = *schema->objects[i];
    return state;
}

void schema_restore(struct schema *schema, const struct schema_state *state)
{
    while (schema->count > state->count)
        json_decref(schema->objects[--schema->count]->rows);
    for (size_t i = 0; i < state->count; i++)
        *(struct object *)schema->objects[i] = state->objects[i];
}

/* ---- looking up ---- */

void schema_set_common(struct schema *schema, const json_t *field)
{
    schema->common = json_pack("[O]", field);
}

void schema_remove(struct schema *schema, const struct object *object)
{
    size_t kept = 0;

    for (size_t i = 0; i < schema->count; i++)
        if (schema->objects[i] != object)
            schema->objects[kept++] = schema->objects[i];
    schema->count = kept;
    json_decref(object->rows);
}

size_t schema_count(const struct schema *schema)
{
    return schema->count;
}

const struct object *schema_at(const struct schema *schema, size_t index)
{
    return schema->objects[index];
}

const struct object *schema_find(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strcasecmp(schema->objects[i]->name, name) == 0)
            return schema->objects[i];
    return NULL;
}

const struct object *schema_find_visible(const struct schema *schema, const char *name)
{
    const struct object *object = schema_find(schema, name);

    return object != NULL && !object->is_hidden ? object : NULL;
}

const struct object *schema_find_prefix(const struct schema *schema, const char *id)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strncmp(schema->objects[i]->key_prefix, id, KEY_PREFIX_BYTES) == 0)
            return schema->objects[i];
    return NULL;
}

const struct field *schema_field(const struct object *object, const char *name)
{
    for (size_t i = 0; i < object->field_count; i++)
        if (strcasecmp(object->fields[i]->name, name) == 0)
            return object->fields[i];
    return NULL;
}

const struct field *schema_relationship(const struct object *object, const char *name)
{
    for (size_t i = 0; i < object->field_count; i++) {
        const char *relationship = object->fields[i]->relationship;

        if (relationship != NULL && strcasecmp(relationship, name) == 0)
            return object->fields[i];
    }
    return NULL;
}

bool schema_field_refers_to(const struct field *field, const struct object *parent)
{
    for (size_t i = 0; i < field->reference_count; i++)
        if (strcasecmp(field->reference_to[i], parent->name) == 0)
            return true;
    return false;
}

static const struct field *find_child_field(const struct object *child, const struct object *parent,
                                            const char *relationship)
{
    for (size_t i = 0; i < child->field_count; i++) {
        const struct field *field = child->fields[i];

        if (field->child_relationship != NULL &&
            strcasecmp(field->child_relationship, relationship) == 0 &&
            schema_field_refers_to(field, parent))
            return field;
    }
    return NULL;
}

const struct field *schema_children(const struct schema *schema, const struct object *parent,
                                    const char *relationship, const struct object **child)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field =
            schema->objects[i]->is_hidden
                ? NULL
                : find_child_field(schema->objects[i], parent, relationship);

        if (field != NULL) {
            *child = schema->objects[i];
            return field;
        }
    }
    return NULL;
}

bool schema_is_stored(const struct field *field)
{
    return field->type->kind != KIND_COMPOUND && field->sql == NULL && field->formula == NULL;
}

bool schema_is_sortable(const struct field *field)
{
    return field->is_filterable && field->type->kind != KIND_COMPOUND;
}

bool schema_is_groupable(const struct field *field)
{
    return schema_is_sortable(field) && field->type->kind != KIND_REAL &&
           field->type->kind != KIND_DATETIME;
}
