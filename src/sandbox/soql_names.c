#include "sandbox/soql_names.h"

#include <string.h>
#include <strings.h>

static bool refuse(struct soql_compiler *compiler, const char *code, size_t position,
                   const char *message)
{
    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, position,
                             message);
}

static const struct field *refuse_field(struct soql_compiler *compiler,
                                        const struct soql_path *path, const char *name,
                                        const struct object *object)
{
    refuse(compiler, "INVALID_FIELD", path->position,
           arena_printf(compiler->arena,
                        "No such column '%s' on entity '%s'. If you are attempting to use a custom "
                        "field, be sure to append the '__c' after the custom field name. Please "
                        "reference your WSDL or the describe call for the appropriate names.",
                        name, object->name));
    return NULL;
}

static const struct object *parent_object(struct soql_compiler *compiler,
                                          const struct field *reference)
{
    for (size_t i = 0; i < reference->reference_count; i++) {
        const struct object *object =
            schema_find(compiler->context->schema, reference->reference_to[i]);

        if (object != NULL)
            return object;
    }
    return NULL;
}

static struct soql_join *find_join(struct soql_compiler *compiler, const struct soql_join *from,
                                   const struct field *reference)
{
    struct soql_join *last = compiler->joins;
    size_t count = 0;

    for (struct soql_join *each = compiler->joins; each != NULL; each = each->next) {
        if (each->from == from && each->reference == reference)
            return each;
        last = each;
        count++;
    }
    const struct object *object = parent_object(compiler, reference);
    if (object == NULL)
        return NULL;
    last->next = arena_alloc(compiler->arena, sizeof(*last));
    *last->next = (struct soql_join){
        .alias = arena_printf(compiler->arena, "%sp%zu", compiler->joins->alias, count),
        .object = object,
        .from = from,
        .reference = reference,
        .id_column = -1,
    };
    return last->next;
}

static bool is_own_name(const struct soql_compiler *compiler, const struct soql_path *path)
{
    const struct object *object = compiler->joins->object;
    const char *alias = compiler->query->from_alias;

    if (path->count < 2 || schema_relationship(object, path->names[0]) != NULL)
        return false;
    return strcasecmp(path->names[0], object->name) == 0 ||
           (alias != NULL && strcasecmp(path->names[0], alias) == 0);
}

const struct field *soql_names_resolve(struct soql_compiler *compiler, const struct soql_path *path,
                                       struct soql_join **join)
{
    size_t i = is_own_name(compiler, path) ? 1 : 0;

    *join = compiler->joins;
    for (; i + 1 < path->count; i++) {
        const struct field *reference = schema_relationship((*join)->object, path->names[i]);
        struct soql_join *next = reference != NULL ? find_join(compiler, *join, reference) : NULL;

        if (next == NULL) {
            refuse(compiler, "INVALID_FIELD", path->position,
                   arena_printf(compiler->arena,
                                "Didn't understand relationship '%s' in field path. If you are "
                                "attempting to use a custom relationship, be sure to append the "
                                "'__r' after the custom relationship name. Please reference your "
                                "WSDL or the describe call for the appropriate names.",
                                path->names[i]));
            return NULL;
        }
        *join = next;
    }
    const struct field *field = schema_field((*join)->object, path->names[i]);
    return field != NULL ? field : refuse_field(compiler, path, path->names[i], (*join)->object);
}

void soql_names_bind(struct soql_compiler *compiler, struct buf *sql, struct value value)
{
    if (compiler->value_count == compiler->value_room) {
        size_t room = compiler->value_room > 0 ? compiler->value_room * 2 : 16;
        struct value *grown = arena_array(compiler->arena, struct value, room);

        if (compiler->value_count > 0)
            memcpy(grown, compiler->values, compiler->value_count * sizeof(*grown));
        compiler->values = grown;
        compiler->value_room = room;
    }
    compiler->values[compiler->value_count++] = value;
    buf_printf(sql, "?%zu", compiler->value_count);
}
