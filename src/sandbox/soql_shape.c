#include "sandbox/soql_shape.h"

#include <string.h>
#include <strings.h>

enum { MAX_FIELDS_LIMIT = 200 };

static bool refuse(struct soql_compiler *compiler, const char *code, size_t position,
                   const char *message)
{
    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, position,
                             message);
}

int soql_shape_add_column(struct soql_builder *builder, const char *sql)
{
    buf_printf(&builder->columns, "%s%s", builder->column_count > 0 ? ", " : "", sql);
    return builder->column_count++;
}

/* An encrypted field of someone who may not see it: stars, the last four characters kept where its
 * mask says so. */
static const char *mask_column(struct arena *arena, const struct field *field, const char *sql)
{
    if (!field->shows_last_four)
        return arena_printf(arena, "replace(hex(zeroblob(length(%s))), '00', '*')", sql);
    return arena_printf(arena,
                        "replace(hex(zeroblob(max(length(%s) - 4, 0))), '00', '*') || "
                        "substr(%s, -4)",
                        sql, sql);
}

/* The address under which the bytes are. */
static const char *blob_column(struct soql_builder *builder, const struct soql_join *join,
                               const struct field *field)
{
    const struct soql_compiler *compiler = &builder->compiler;
    const char *version = compiler->context->version;

    return arena_printf(compiler->arena,
                        "case when %s is not null then '/services/data/v%s/sobjects/%s/' || %s || "
                        "'/%s' end",
                        soql_names_column(&builder->compiler, join, field->name),
                        version != NULL ? version : "", join->object->name,
                        soql_names_column(&builder->compiler, join, "Id"), field->name);
}

static int add_field_column(struct soql_builder *builder, const struct soql_join *join,
                            const struct field *field)
{
    const char *sql = soql_names_column(&builder->compiler, join, field->name);

    if (builder->compiler.context->masks_secrets &&
        strcmp(field->type->name, "encryptedstring") == 0)
        sql = mask_column(builder->compiler.arena, field, sql);
    if (strcmp(field->type->name, "base64") == 0)
        sql = blob_column(builder, join, field);
    return soql_shape_add_column(builder, sql);
}

void soql_shape_append(struct soql_builder *builder, struct soql_shape *shape,
                       const struct soql_shape_item *item)
{
    struct soql_shape_item **end = &shape->items;

    while (*end != NULL)
        end = &(*end)->next;
    *end = arena_alloc(builder->compiler.arena, sizeof(**end));
    **end = *item;
}

static struct soql_shape *new_shape(struct soql_builder *builder, struct soql_join *join)
{
    struct soql_shape *shape = arena_alloc(builder->compiler.arena, sizeof(*shape));

    join->id_column =
        soql_shape_add_column(builder, soql_names_column(&builder->compiler, join, "Id"));
    shape->is_polymorphic = join->choices != NULL;
    shape->object = shape->is_polymorphic ? NULL : join->object;
    shape->id_column = join->id_column;
    join->shape = shape;
    return shape;
}

struct soql_shape *soql_shape_of(struct soql_builder *builder, struct soql_join *join)
{
    if (join->shape != NULL)
        return join->shape;
    if (join->from == NULL)
        return new_shape(builder, join);
    struct soql_shape *above = soql_shape_of(builder, (struct soql_join *)join->from);
    struct soql_shape *shape = new_shape(builder, join);
    struct soql_shape_item item = {.name = join->reference->relationship, .parent = shape};

    soql_shape_append(builder, above, &item);
    return shape;
}

/* "BillingStreet" is the "street" of BillingAddress. */
static const char *part_name(struct soql_builder *builder, const struct field *field,
                             const struct field *compound)
{
    size_t common = 0;

    while (field->name[common] != '\0' && field->name[common] == compound->name[common])
        common++;
    char *name = arena_strdup(builder->compiler.arena, field->name + common);
    if (*name >= 'A' && *name <= 'Z')
        *name = (char)(*name - 'A' + 'a');
    return name;
}

static struct soql_shape *compound_parts(struct soql_builder *builder, const struct soql_join *join,
                                         const struct field *compound)
{
    struct soql_shape *parts = arena_alloc(builder->compiler.arena, sizeof(*parts));

    for (size_t i = 0; i < join->object->field_count; i++) {
        const struct field *field = join->object->fields[i];

        if (field->compound == NULL || strcasecmp(field->compound, compound->name) != 0)
            continue;
        struct soql_shape_item item = {
            .name = part_name(builder, field, compound),
            .field = field,
            .column = add_field_column(builder, join, field),
        };
        soql_shape_append(builder, parts, &item);
    }
    return parts;
}

/* Owner.Name, as the header of a flat list shows it. */
static const char *path_name(struct soql_builder *builder, const struct soql_join *join,
                             const char *name)
{
    for (; join->from != NULL; join = join->from)
        name = arena_printf(builder->compiler.arena, "%s.%s", join->reference->relationship, name);
    return name;
}

static void append_flat(struct soql_builder *builder, const struct soql_join *join,
                        const struct soql_shape_item *item)
{
    struct soql_column **end = &builder->plan->columns;

    while (*end != NULL)
        end = &(*end)->next;
    *end = arena_alloc(builder->compiler.arena, sizeof(**end));
    **end = (struct soql_column){
        .name = path_name(builder, join, item->name), .field = item->field, .column = item->column};
}

static bool has_member(const struct soql_shape *shape, const char *name)
{
    for (const struct soql_shape_item *each = shape->items; each != NULL; each = each->next)
        if (strcasecmp(each->name, name) == 0)
            return true;
    return false;
}

bool soql_shape_refuse_twice(struct soql_builder *builder, const char *name)
{
    return errors_add(builder->compiler.context->errors, "INVALID_FIELD", "",
                      "duplicate field selected: %s", name);
}

bool soql_shape_append_term(struct soql_builder *builder, const struct soql_term *term,
                            const char *name)
{
    struct soql_shape *shape = soql_shape_of(builder, term->join);
    struct soql_shape_item item = {.name = name != NULL ? name : term->source->name,
                                   .field = term->field};

    if (has_member(shape, item.name))
        return false;
    item.column = soql_shape_add_column(builder, term->sql);
    append_flat(builder, term->join, &item);
    soql_shape_append(builder, shape, &item);
    return true;
}

bool soql_shape_append_field(struct soql_builder *builder, struct soql_join *join,
                             const struct field *field, const char *name)
{
    struct soql_shape *shape = soql_shape_of(builder, join);
    struct soql_shape_item item = {.name = name != NULL ? name : field->name, .field = field};

    if (has_member(shape, item.name))
        return false;
    if (field->type->kind == KIND_COMPOUND) {
        item.parts = compound_parts(builder, join, field);
        builder->plan->has_compound = true;
    } else {
        item.column = add_field_column(builder, join, field);
        append_flat(builder, join, &item);
    }
    soql_shape_append(builder, shape, &item);
    return true;
}

bool soql_shape_append_fields(struct soql_builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    const char *which = item->path.names[0];
    bool is_all = strcasecmp(which, "ALL") == 0;
    bool is_custom = strcasecmp(which, "CUSTOM") == 0;
    const struct object *object = compiler->joins->object;

    if (!is_all && !is_custom && strcasecmp(which, "STANDARD") != 0)
        return refuse(compiler, "MALFORMED_QUERY", item->path.position,
                      arena_printf(compiler->arena, "unexpected token: '%s'", which));
    if ((is_all || is_custom) &&
        (compiler->query->limit < 0 || compiler->query->limit > MAX_FIELDS_LIMIT))
        return refuse(compiler, "MALFORMED_QUERY", item->path.position,
                      "The SOQL FIELDS function must have a LIMIT of at most 200");
    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (!field->is_hidden && (is_all || field->is_custom == is_custom) &&
            !soql_shape_append_field(builder, compiler->joins, field, NULL))
            return soql_shape_refuse_twice(builder, field->name);
    }
    return true;
}

/* ---- TYPEOF ---- */

/* A TYPEOF on its way: the reference, and the shapes of its choices, each the other of the last. */
struct type_of {
    struct soql_builder *builder;
    const struct soql_item *item;
    const struct field *reference;
    struct soql_shape **end;
};

static bool add_choice(struct type_of *type_of, const struct soql_choice *choice,
                       const struct object *object)
{
    struct soql_builder *builder = type_of->builder;
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_join *join = soql_names_join(compiler, compiler->joins, type_of->reference, object);

    if (join->shape != NULL)
        return true;
    *type_of->end = new_shape(builder, join);
    type_of->end = &join->shape->other;
    for (const struct soql_item *item = choice->items; item != NULL; item = item->next) {
        const char *name = item->path.names[item->path.count - 1];
        const struct field *field = item->path.count == 1 ? soql_names_common(object, name) : NULL;

        if (field != NULL)
            soql_shape_append_field(builder, join, field,
                                    schema_field(object, name) != NULL ? NULL : "Name");
        else if (choice->type != NULL)
            return refuse(compiler, "INVALID_FIELD", item->path.position,
                          arena_printf(compiler->arena, "No such column '%s' on entity '%s'.", name,
                                       object->name));
    }
    return true;
}

static bool add_when(struct type_of *type_of, const struct soql_choice *choice)
{
    struct soql_compiler *compiler = &type_of->builder->compiler;
    const struct object *object = schema_find_visible(compiler->context->schema, choice->type);

    if (object == NULL || !schema_field_refers_to(type_of->reference, object))
        return refuse(
            compiler, "INVALID_TYPE", choice->position,
            arena_printf(compiler->arena, "sObject type '%s' is not supported.", choice->type));
    return add_choice(type_of, choice, object);
}

/* ELSE: every object that no WHEN named. */
static bool add_else(struct type_of *type_of, const struct soql_choice *choice)
{
    const struct field *reference = type_of->reference;

    for (size_t i = 0; i < reference->reference_count; i++) {
        const struct object *object = schema_find_visible(
            type_of->builder->compiler.context->schema, reference->reference_to[i]);

        if (object != NULL && !add_choice(type_of, choice, object))
            return false;
    }
    return true;
}

bool soql_shape_append_type_of(struct soql_builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_shape *shapes = NULL;
    struct type_of type_of = {.builder = builder, .item = item, .end = &shapes};

    type_of.reference = item->path.count == 1
                            ? schema_relationship(compiler->joins->object, item->path.names[0])
                            : NULL;
    if (type_of.reference == NULL)
        return refuse(compiler, "INVALID_FIELD", item->path.position,
                      arena_printf(compiler->arena,
                                   "Didn't understand relationship '%s' in field path.",
                                   item->path.names[0]));
    builder->plan->has_type_of = true;
    for (const struct soql_choice *each = item->choices; each != NULL; each = each->next)
        if (!(each->type != NULL ? add_when(&type_of, each) : add_else(&type_of, each)))
            return false;
    struct soql_shape_item shape_item = {.name = type_of.reference->relationship, .parent = shapes};
    if (shapes != NULL)
        soql_shape_append(builder, soql_shape_of(builder, compiler->joins), &shape_item);
    return true;
}
