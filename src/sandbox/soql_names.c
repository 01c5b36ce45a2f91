#include "sandbox/soql_names.h"

#include <string.h>
#include <strings.h>

#include "sandbox/formula_sql.h"

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

static struct soql_join *add_join(struct soql_compiler *compiler, const struct soql_join *join)
{
    struct soql_join *last = compiler->joins;
    size_t count = 1;

    for (; last->next != NULL; last = last->next)
        count++;
    last->next = arena_alloc(compiler->arena, sizeof(*last));
    *last->next = *join;
    last->next->alias = arena_printf(compiler->arena, "%sp%zu", compiler->joins->alias, count);
    last->next->id_column = -1;
    return last->next;
}

struct soql_join *soql_names_join(struct soql_compiler *compiler, const struct soql_join *from,
                                  const struct field *reference, const struct object *object)
{
    const struct soql_join join = {.object = object, .from = from, .reference = reference};

    for (struct soql_join *each = compiler->joins; each != NULL; each = each->next)
        if (each->from == from && each->reference == reference && each->object == object &&
            each->choices == NULL)
            return each;
    return add_join(compiler, &join);
}

static const struct object *find_target(const struct soql_compiler *compiler,
                                        const struct field *reference, size_t index)
{
    return schema_find_visible(compiler->context->schema, reference->reference_to[index]);
}

/* The join that stands for all of a reference's objects. */
static struct soql_join *join_choices(struct soql_compiler *compiler, const struct soql_join *from,
                                      const struct field *reference)
{
    struct soql_join join = {.from = from, .reference = reference};

    for (struct soql_join *each = compiler->joins; each != NULL; each = each->next)
        if (each->from == from && each->reference == reference && each->choices != NULL)
            return each;
    join.choices = arena_array(compiler->arena, struct soql_join *, reference->reference_count);
    for (size_t i = 0; i < reference->reference_count; i++) {
        const struct object *object = find_target(compiler, reference, i);

        if (object != NULL)
            join.choices[join.choice_count++] = soql_names_join(compiler, from, reference, object);
    }
    if (join.choice_count == 0)
        return NULL;
    join.object = join.choices[0]->object;
    return add_join(compiler, &join);
}

static struct soql_join *find_join(struct soql_compiler *compiler, const struct soql_join *from,
                                   const struct field *reference)
{
    if (reference->reference_count > 1)
        return from->choices == NULL ? join_choices(compiler, from, reference) : NULL;
    const struct object *object =
        reference->reference_count == 1 ? find_target(compiler, reference, 0) : NULL;
    return object != NULL && from->choices == NULL
               ? soql_names_join(compiler, from, reference, object)
               : NULL;
}

/* ---- what lies behind a reference to several objects ---- */

/* Cases and tasks are called by another field than Name. */
const struct field *soql_names_common(const struct object *object, const char *name)
{
    const struct field *field = schema_field(object, name);

    for (size_t i = 0; field == NULL && strcasecmp(name, "Name") == 0 && i < object->field_count;
         i++)
        if (object->fields[i]->is_name)
            field = object->fields[i];
    return field != NULL && !field->is_hidden ? field : NULL;
}

/* The fields that all such parents are asked for, whatever they are. */
static const struct field *find_common_field(const struct soql_join *join, const char *name)
{
    static const char *const common[] = {"Id",    "Name",  "FirstName", "LastName", "Email",
                                         "Phone", "Title", "Username",  "Alias",    "IsActive"};
    static const struct field_type text = {"string", "xsd:string", "String", KIND_TEXT, 0};
    static const struct field type_field = {.type = &text, .name = "Type", .is_filterable = true};

    if (strcasecmp(name, "Type") == 0)
        return &type_field;
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        for (size_t j = 0; strcasecmp(common[i], name) == 0 && j < join->choice_count; j++)
            if (schema_field(join->choices[j]->object, name) != NULL)
                return schema_field(join->choices[j]->object, name);
    return NULL;
}

/* A formula is computed from the row's columns; its text is compared as a column's would be. */
static const char *write_column(struct soql_compiler *compiler, const struct soql_join *join,
                                const struct field *field)
{
    struct buf sql BUF_AUTO = {0};

    if (field->formula == NULL)
        return arena_printf(compiler->arena, "%s.\"%s\"", join->alias, field->name);
    /* Once bound it fits, but for an alias longer than the one it was tried with. */
    buf_init(&sql, 4 * FORMULA_SQL_MAX_BYTES);
    formula_sql_write_field(field, join->alias, &sql);
    return arena_printf(compiler->arena,
                        field->type->kind == KIND_TEXT ? "(%s collate nocase)" : "%s", sql.data);
}

static const char *choose_column(struct soql_compiler *compiler, const struct soql_join *join,
                                 const char *name)
{
    bool is_type = strcasecmp(name, "Type") == 0;
    const char *sql = "(case";
    const char *collation = "";

    for (size_t i = 0; i < join->choice_count; i++) {
        const struct soql_join *choice = join->choices[i];
        const struct field *field = soql_names_common(choice->object, name);

        if (!is_type && field == NULL)
            continue;
        const char *value = is_type ? arena_printf(compiler->arena, "'%s'", choice->object->name)
                                    : write_column(compiler, choice, field);
        sql = arena_printf(compiler->arena, "%s when %s.\"Id\" is not null then %s", sql,
                           choice->alias, value);
        if (is_type || (field->type->kind == KIND_TEXT && !field->is_case_sensitive))
            collation = " collate nocase";
    }
    return arena_printf(compiler->arena, "%s end%s)", sql, collation);
}

const char *soql_names_column(struct soql_compiler *compiler, const struct soql_join *join,
                              const char *name)
{
    if (join->choices != NULL)
        return choose_column(compiler, join, name);
    return write_column(compiler, join, schema_field(join->object, name));
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
        struct soql_join *next = reference != NULL && !reference->is_hidden
                                     ? find_join(compiler, *join, reference)
                                     : NULL;

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
    const struct field *field = (*join)->choices != NULL
                                    ? find_common_field(*join, path->names[i])
                                    : schema_field((*join)->object, path->names[i]);
    return field != NULL && !field->is_hidden
               ? field
               : refuse_field(compiler, path, path->names[i], (*join)->object);
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
