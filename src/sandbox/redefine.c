#include "sandbox/redefine.h"

#include <stdlib.h>
#include <strings.h>

#include "sandbox/formulas.h"

/* ---- the data file ---- */

/* The fields of a kept definition without this one. */
static bool forget_in(struct org *org, int64_t seq, const char *text, const char *field,
                      struct error *err)
{
    json_t *definition = json_loads(text, 0, NULL);
    json_t *fields = json_object_get(definition, "fields");

    for (size_t i = json_array_size(fields); i > 0; i--) {
        const char *name =
            json_string_value(json_object_get(json_array_get(fields, i - 1), "name"));

        if (name != NULL && strcasecmp(name, field) == 0)
            json_array_remove(fields, i - 1);
    }
    char *rest = json_dumps(definition, JSON_COMPACT);
    struct value values[] = {value_text(rest), value_integer(seq)};
    bool is_done = store_change(
        org->store, "update sandbox_definition set definition = ? where seq = ?", values, 2, err);
    free(rest);
    json_decref(definition);
    return is_done;
}

/* The kept definitions of an object, one after the other. */
struct kept {
    const struct object *object;
    struct arena *arena;
    int64_t seq; /* of the last, at first 0 */
    const char *text;
    bool has_row;
};

static bool next_kept(struct org *org, struct kept *kept, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    struct value values[] = {value_text(kept->object->name), value_integer(kept->seq)};

    if (!store_prepare(org->store,
                       "select seq, definition from sandbox_definition "
                       "where json_extract(definition, '$.name') = ?1 collate nocase "
                       "and seq > ?2 order by seq limit 1",
                       &statement, err))
        return false;
    store_bind(statement, 1, &values[0]);
    store_bind(statement, 2, &values[1]);
    if (!store_step(org->store, statement, &kept->has_row, err))
        return false;
    if (kept->has_row) {
        kept->seq = sqlite3_column_int64(statement, 0);
        kept->text = store_column(kept->arena, statement, 1).text;
        sqlite3_reset(statement);
    }
    return true;
}

static bool forget_field(struct org *org, const struct object *object, const char *field,
                         struct error *err)
{
    struct kept kept = {.object = object, .arena = arena_new(), .has_row = true};
    bool is_done = true;

    while (is_done && kept.has_row) {
        is_done = next_kept(org, &kept, err);
        if (is_done && kept.has_row)
            is_done = forget_in(org, kept.seq, kept.text, field, err);
    }
    arena_free(kept.arena);
    return is_done;
}

static bool keep_field(struct org *org, const struct object *object, const json_t *definition,
                       struct error *err)
{
    json_t *whole = json_pack("{s:s, s:[O]}", "name", object->name, "fields", definition);
    bool is_done =
        forget_field(org, object, json_string_value(json_object_get(definition, "name")), err) &&
        org_define(org, whole, true, err);

    json_decref(whole);
    return is_done;
}

/* ---- fields ---- */

static bool holds_the_same(const struct field *one, const struct field *other)
{
    return one->type->kind == other->type->kind &&
           (one->formula == NULL) == (other->formula == NULL) &&
           (one->reference_count == 0) == (other->reference_count == 0);
}

/* Puts the new field where the old one is, and takes it back when a formula does not bear it. */
static bool replace_field(struct org *org, const struct field *old, const struct field *new_field,
                          struct error *err)
{
    struct field *place = (struct field *)old;
    struct field before = *old;
    struct error ignored = {0};

    *place = *new_field;
    place->name = before.name;
    place->index = before.index;
    if (formulas_bind(org, err)) {
        org->schema_modified_s = org_now(org);
        return true;
    }
    *place = before;
    formulas_bind(org, &ignored);
    return false;
}

bool redefine_field(struct org *org, const struct object *object, const json_t *definition,
                    struct error *err)
{
    const struct field *field = schema_read_field(org->schema, definition, err);
    const struct field *old = field != NULL ? schema_field(object, field->name) : NULL;

    if (field == NULL)
        return false;
    if (old != NULL && old->is_gone && old->reference_count == 0 && field->reference_count > 0 &&
        old->type->kind == KIND_ID)
        return replace_field(org, old, field, err) && keep_field(org, object, definition, err);
    if (old == NULL || !holds_the_same(old, field))
        return error_set(err, ERROR_CONFIG,
                         "Cannot change the type of field %s: make one of another name",
                         field->name);
    return replace_field(org, old, field, err) && keep_field(org, object, definition, err);
}

bool redefine_remove_field(struct org *org, const struct object *object, const struct field *field,
                           struct error *err)
{
    struct arena *arena = schema_arena(org->schema);
    struct field gone = {.type = field->type,
                         .label = field->label,
                         .sql = field->sql,
                         .formula = field->formula,
                         .computed = field->computed,
                         .is_custom = true,
                         .is_nillable = true,
                         .is_hidden = true,
                         .is_gone = true};

    if (!replace_field(org, field, &gone, err) || !forget_field(org, object, field->name, err))
        return false;
    if (!schema_is_stored(field))
        return true;
    const char *sql =
        arena_printf(arena, "update \"%s\" set \"%s\" = null", object->name, field->name);
    return store_run(org->store, sql, err);
}

/* ---- objects ---- */

/* The first field elsewhere that refers to it. */
static const struct field *find_referrer(const struct schema *schema, const struct object *parent,
                                         const struct object **child)
{
    for (size_t i = 0; i < schema_count(schema); i++) {
        *child = schema_at(schema, i);
        for (size_t j = 0; *child != parent && j < (*child)->field_count; j++)
            if (schema_field_refers_to((*child)->fields[j], parent))
                return (*child)->fields[j];
    }
    return NULL;
}

bool redefine_remove_object(struct org *org, const struct object *object, struct error *err)
{
    const struct object *child = NULL;
    const struct field *referrer = find_referrer(org->schema, object, &child);
    struct value name = value_text(object->name);

    if (referrer != NULL)
        return error_set(err, ERROR_CONFIG, "%s is referenced by %s.%s: delete that first",
                         object->name, child->name, referrer->name);
    const char *sql = arena_printf(schema_arena(org->schema), "delete from \"%s\"", object->name);
    if (!store_run(org->store, sql, err) ||
        !store_change(org->store,
                      "delete from sandbox_definition "
                      "where json_extract(definition, '$.name') = ? collate nocase",
                      &name, 1, err))
        return false;
    schema_remove(org->schema, object);
    org->schema_modified_s = org_now(org);
    return true;
}
