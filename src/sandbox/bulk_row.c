#include "sandbox/bulk_row.h"

#include <string.h>
#include <strings.h>

static const char null_text[] = "#N/A";

enum { MAX_NAME_BYTES = 256 };

/* "User:Owner.Username" in its three parts; without a type that one is empty. */
struct parent_name {
    char type[MAX_NAME_BYTES];
    char relationship[MAX_NAME_BYTES];
    char key[MAX_NAME_BYTES];
};

static bool copy_part(char *out, const char *text, size_t length)
{
    if (length == 0 || length >= MAX_NAME_BYTES)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

static bool split_name(const char *name, struct parent_name *parts)
{
    const char *colon = strchr(name, ':');
    const char *start = colon != NULL ? colon + 1 : name;
    const char *dot = strchr(start, '.');

    *parts = (struct parent_name){0};
    if (dot == NULL || (colon != NULL && !copy_part(parts->type, name, (size_t)(colon - name))))
        return false;
    return copy_part(parts->relationship, start, (size_t)(dot - start)) &&
           copy_part(parts->key, dot + 1, strlen(dot + 1));
}

static bool find_parent(const struct schema *schema, const struct object *object, const char *name,
                        struct bulk_column *column)
{
    struct parent_name parts;

    if (!split_name(name, &parts))
        return false;
    const struct field *field = schema_relationship(object, parts.relationship);
    if (field == NULL || field->reference_count == 0)
        return false;
    const struct object *parent =
        schema_find_visible(schema, *parts.type != '\0' ? parts.type : field->reference_to[0]);
    if (parent == NULL || !schema_field_refers_to(field, parent))
        return false;
    const struct field *key = schema_field(parent, parts.key);
    if (key == NULL || !key->is_id_lookup)
        return false;
    *column = (struct bulk_column){.field = field,
                                   .relationship = field->relationship,
                                   .type = parent->name,
                                   .key = key->name};
    return true;
}

bool bulk_row_find_column(const struct schema *schema, const struct object *object,
                          const char *name, struct bulk_column *column)
{
    const struct field *field = schema_field(object, name);

    *column = (struct bulk_column){.field = field};
    if (field != NULL)
        return field->type->kind != KIND_COMPOUND && !field->is_hidden;
    return find_parent(schema, object, name, column);
}

/* Bulk knows two more words for a boolean than REST does. */
static const char *plain_word(const struct field *field, const char *text)
{
    if (field->type->kind == KIND_BOOLEAN && strcasecmp(text, "yes") == 0)
        return "true";
    if (field->type->kind == KIND_BOOLEAN && strcasecmp(text, "no") == 0)
        return "false";
    return text;
}

static bool set_cell(json_t *record, const struct bulk_column *column, const char *text)
{
    bool is_parent = column->relationship != NULL;
    const char *name = is_parent ? column->relationship : column->field->name;

    if (strcmp(text, null_text) == 0)
        return json_object_set_new(record, name, json_null()) == 0;
    json_t *value = json_string(plain_word(column->field, text));
    if (value == NULL)
        return false;
    if (is_parent)
        value = json_pack("{s:{s:s}, s:o}", "attributes", "type", column->type, column->key, value);
    return json_object_set_new(record, name, value) == 0;
}

json_t *bulk_row_read(const struct bulk_column *columns, size_t count, const struct csv_row *row)
{
    json_t *record = json_object();

    for (size_t i = 0; i < count && i < row->count; i++)
        if (*row->cells[i] != '\0' && !set_cell(record, &columns[i], row->cells[i])) {
            json_decref(record);
            return NULL;
        }
    return record;
}

const char *bulk_row_cell(const struct bulk_column *columns, size_t count,
                          const struct csv_row *row, const struct field *field)
{
    for (size_t i = 0; i < count && i < row->count; i++)
        if (columns[i].field == field && columns[i].relationship == NULL)
            return *row->cells[i] != '\0' ? row->cells[i] : NULL;
    return NULL;
}
