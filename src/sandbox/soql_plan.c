#include "sandbox/soql_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sandbox/soql_where.h"

enum { MAX_SQL_BYTES = 4 * 1024 * 1024, MAX_OFFSET = 2000, MAX_FIELDS_LIMIT = 200 };

/* The parts of a statement while it grows. */
struct builder {
    struct soql_compiler compiler;
    struct buf columns;
    int column_count;
    struct soql_plan *plan;
};

static bool refuse(struct soql_compiler *compiler, const char *code, size_t position,
                   const char *message)
{
    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, position,
                             message);
}

/* ---- columns and shapes ---- */

static int add_column(struct builder *builder, const char *alias, const char *name)
{
    buf_printf(&builder->columns, "%s%s.\"%s\"", builder->column_count > 0 ? ", " : "", alias,
               name);
    return builder->column_count++;
}

static void append_item(struct builder *builder, struct soql_shape *shape,
                        const struct soql_shape_item *item)
{
    struct soql_shape_item **end = &shape->items;

    while (*end != NULL)
        end = &(*end)->next;
    *end = arena_alloc(builder->compiler.arena, sizeof(**end));
    **end = *item;
}

static struct soql_shape *new_shape(struct builder *builder, struct soql_join *join)
{
    struct soql_shape *shape = arena_alloc(builder->compiler.arena, sizeof(*shape));

    join->id_column = add_column(builder, join->alias, "Id");
    shape->object = join->object;
    shape->id_column = join->id_column;
    join->shape = shape;
    return shape;
}

/* The shape a join's members go into: made, with those above it, when first asked for. */
static struct soql_shape *shape_of(struct builder *builder, struct soql_join *join)
{
    if (join->shape != NULL)
        return join->shape;
    struct soql_shape *above = shape_of(builder, (struct soql_join *)join->from);
    struct soql_shape *shape = new_shape(builder, join);
    struct soql_shape_item item = {.name = join->reference->relationship, .parent = shape};

    append_item(builder, above, &item);
    return shape;
}

/* "BillingStreet" is the "street" of BillingAddress. */
static const char *part_name(struct builder *builder, const struct field *field,
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

static struct soql_shape *compound_parts(struct builder *builder, const struct soql_join *join,
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
            .column = add_column(builder, join->alias, field->name),
        };
        append_item(builder, parts, &item);
    }
    return parts;
}

static void append_field(struct builder *builder, struct soql_join *join, const struct field *field)
{
    struct soql_shape *shape = shape_of(builder, join);
    struct soql_shape_item item = {.name = field->name, .field = field};

    for (const struct soql_shape_item *each = shape->items; each != NULL; each = each->next)
        if (each->field == field)
            return;
    if (field->type->kind == KIND_COMPOUND)
        item.parts = compound_parts(builder, join, field);
    else
        item.column = add_column(builder, join->alias, field->name);
    append_item(builder, shape, &item);
}

/* FIELDS(ALL | STANDARD | CUSTOM) */
static bool append_fields(struct builder *builder, const struct soql_item *item)
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
    for (size_t i = 0; i < object->field_count; i++)
        if (is_all || object->fields[i]->is_custom == is_custom)
            append_field(builder, compiler->joins, object->fields[i]);
    return true;
}

/* ---- children ---- */

static struct soql_plan *plan_query(const struct soql_context *context,
                                    const struct soql_query *query, const struct object *object,
                                    const struct field *link);

static bool append_children(struct builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    const struct soql_query *query = item->children;
    const struct object *child = NULL;
    const struct field *link =
        schema_children(compiler->context->schema, compiler->joins->object, query->from, &child);

    if (link == NULL)
        return refuse(compiler, "INVALID_TYPE", query->from_position,
                      arena_printf(compiler->arena,
                                   "Didn't understand relationship '%s' in FROM part of query "
                                   "call. If you are attempting to use a custom relationship, be "
                                   "sure to append the '__r' after the custom relationship name.",
                                   query->from));
    struct soql_shape_item shape_item = {
        .name = link->child_relationship,
        .children = plan_query(compiler->context, query, child, link),
    };
    if (shape_item.children == NULL)
        return false;
    append_item(builder, shape_of(builder, compiler->joins), &shape_item);
    return true;
}

/* ---- aggregates ---- */

static const char *aggregate_sql(const char *function)
{
    static const char *const functions[][2] = {
        {"COUNT", "count(%s)"}, {"COUNT_DISTINCT", "count(distinct %s)"},
        {"MIN", "min(%s)"},     {"MAX", "max(%s)"},
        {"SUM", "sum(%s)"},     {"AVG", "avg(%s)"},
    };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcasecmp(functions[i][0], function) == 0)
            return functions[i][1];
    return NULL;
}

/* Appends count(t."Id") and the like; false after refusing. */
static bool append_call(struct soql_compiler *compiler, struct buf *sql, const char *function,
                        const struct soql_path *path)
{
    const char *pattern = aggregate_sql(function);
    struct soql_join *join = NULL;
    const struct field *field = soql_names_resolve(compiler, path, &join);

    if (field == NULL)
        return false;
    if (pattern == NULL || field->type->kind == KIND_COMPOUND)
        return refuse(compiler, "MALFORMED_QUERY", path->position,
                      arena_printf(compiler->arena, "unexpected function: '%s'", function));
    size_t before = (size_t)(strstr(pattern, "%s") - pattern);
    buf_printf(sql, "%.*s%s.\"%s\")", (int)before, pattern, join->alias, field->name);
    return true;
}

static bool append_aggregate(struct builder *builder, const struct soql_item *item, int *unnamed)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_join *join = NULL;
    bool keeps_type =
        strcasecmp(item->function, "MIN") == 0 || strcasecmp(item->function, "MAX") == 0;
    struct soql_shape_item shape_item = {.is_aggregate = true, .column = builder->column_count};

    if (builder->column_count++ > 0)
        buf_text(&builder->columns, ", ");
    if (!append_call(compiler, &builder->columns, item->function, &item->path))
        return false;
    shape_item.name =
        item->alias != NULL ? item->alias : arena_printf(compiler->arena, "expr%d", (*unnamed)++);
    if (keeps_type)
        shape_item.field = soql_names_resolve(compiler, &item->path, &join);
    append_item(builder, builder->plan->shape, &shape_item);
    return true;
}

static bool is_grouped(const struct soql_query *query, const struct soql_path *path)
{
    for (const struct soql_group *group = query->groups; group != NULL; group = group->next) {
        bool is_same = group->path.count == path->count;

        for (size_t i = 0; is_same && i < path->count; i++)
            is_same = strcasecmp(group->path.names[i], path->names[i]) == 0;
        if (is_same)
            return true;
    }
    return false;
}

static bool append_grouped(struct builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_join *join = NULL;
    const struct field *field = soql_names_resolve(compiler, &item->path, &join);

    if (field == NULL)
        return false;
    if (!is_grouped(compiler->query, &item->path))
        return refuse(
            compiler, "MALFORMED_QUERY", item->path.position,
            arena_printf(compiler->arena, "Field must be grouped or aggregated: %s", field->name));
    struct soql_shape_item shape_item = {
        .name = item->alias != NULL ? item->alias : field->name,
        .field = field,
        .column = add_column(builder, join->alias, field->name),
    };
    append_item(builder, builder->plan->shape, &shape_item);
    return true;
}

static bool append_aggregates(struct builder *builder)
{
    int unnamed = 0;

    builder->plan->is_aggregate = true;
    builder->plan->shape = arena_alloc(builder->compiler.arena, sizeof(struct soql_shape));
    for (const struct soql_item *item = builder->compiler.query->items; item != NULL;
         item = item->next) {
        bool is_done = item->kind == SOQL_AGGREGATE
                           ? append_aggregate(builder, item, &unnamed)
                           : item->kind == SOQL_FIELD && append_grouped(builder, item);

        if (!is_done)
            return false;
    }
    return true;
}

/* ---- the statement ---- */

static bool append_selected(struct builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_join *join = NULL;

    if (item->kind == SOQL_CHILDREN)
        return append_children(builder, item);
    if (item->kind == SOQL_FIELDS)
        return append_fields(builder, item);
    if (item->kind != SOQL_FIELD)
        return refuse(compiler, "MALFORMED_QUERY", item->path.position,
                      "unexpected token: 'COUNT'");
    const struct field *field = soql_names_resolve(compiler, &item->path, &join);
    if (field == NULL)
        return false;
    append_field(builder, join, field);
    return true;
}

static bool append_items(struct builder *builder)
{
    const struct soql_query *query = builder->compiler.query;

    if (query->items->kind == SOQL_COUNT && query->items->next == NULL) {
        builder->plan->is_count = true;
        buf_text(&builder->columns, "count(*)");
        return true;
    }
    if (query->groups != NULL)
        return append_aggregates(builder);
    for (const struct soql_item *item = query->items; item != NULL; item = item->next)
        if (item->kind == SOQL_AGGREGATE)
            return append_aggregates(builder);
    builder->plan->shape = new_shape(builder, builder->compiler.joins);
    for (const struct soql_item *item = query->items; item != NULL; item = item->next)
        if (!append_selected(builder, item))
            return false;
    return true;
}

static bool append_groups(struct builder *builder, struct buf *sql)
{
    const char *separator = " group by ";

    for (const struct soql_group *group = builder->compiler.query->groups; group != NULL;
         group = group->next) {
        struct soql_join *join = NULL;
        const struct field *field = soql_names_resolve(&builder->compiler, &group->path, &join);

        if (field == NULL)
            return false;
        buf_printf(sql, "%s%s.\"%s\"", separator, join->alias, field->name);
        separator = ", ";
    }
    return true;
}

/* Nulls come first, ascending or not, unless the statement says otherwise. */
static bool append_order(struct builder *builder, struct buf *sql, const struct soql_order *order)
{
    struct soql_join *join = NULL;

    if (order->function != NULL) {
        if (!append_call(&builder->compiler, sql, order->function, &order->path))
            return false;
    } else {
        const struct field *field = soql_names_resolve(&builder->compiler, &order->path, &join);

        if (field == NULL)
            return false;
        if (field->type->kind == KIND_COMPOUND)
            return refuse(&builder->compiler, "INVALID_FIELD", order->path.position,
                          arena_printf(builder->compiler.arena,
                                       "field '%s' can not be sorted in a query call",
                                       field->name));
        buf_printf(sql, "%s.\"%s\"", join->alias, field->name);
    }
    if (order->is_descending)
        buf_text(sql, order->has_nulls_last ? " desc" : " desc nulls first");
    else if (order->has_nulls_last)
        buf_text(sql, " nulls last");
    return true;
}

static bool append_orders(struct builder *builder, struct buf *sql)
{
    const char *separator = " order by ";

    for (const struct soql_order *order = builder->compiler.query->orders; order != NULL;
         order = order->next) {
        buf_text(sql, separator);
        if (!append_order(builder, sql, order))
            return false;
        separator = ", ";
    }
    return true;
}

static bool append_limit(struct soql_compiler *compiler, struct buf *sql)
{
    const struct soql_query *query = compiler->query;

    if (query->offset > MAX_OFFSET) {
        errors_add(compiler->context->errors, "NUMBER_OUTSIDE_VALID_RANGE", "",
                   "Maximum SOQL offset allowed is %d", MAX_OFFSET);
        return false;
    }
    if (query->limit >= 0 || query->offset > 0)
        buf_printf(sql, " limit %" PRId64 " offset %" PRId64, query->limit, query->offset);
    return true;
}

static void append_joins(const struct soql_compiler *compiler, struct buf *sql)
{
    buf_printf(sql, " from \"%s\" %s", compiler->joins->object->name, compiler->joins->alias);
    for (const struct soql_join *join = compiler->joins->next; join != NULL; join = join->next)
        buf_printf(sql, " left join \"%s\" %s on %s.\"Id\" = %s.\"%s\"", join->object->name,
                   join->alias, join->alias, join->from->alias, join->reference->name);
}

static bool append_where(struct soql_compiler *compiler, struct buf *sql, const struct field *link)
{
    const char *alias = compiler->joins->alias;

    buf_text(sql, " where ");
    if (link != NULL)
        buf_printf(sql, "%s.\"%s\" = ?1 and ", alias, link->name);
    if (compiler->context->includes_deleted || compiler->query->is_all_rows)
        buf_text(sql, "1");
    else
        buf_printf(sql, "%s.\"IsDeleted\" = 0", alias);
    if (compiler->query->where == NULL)
        return true;
    buf_text(sql, " and (");
    if (!soql_where(compiler, sql, compiler->query->where))
        return false;
    buf_text(sql, ")");
    return true;
}

/* Everything after the columns. Joins are known only when all names have been resolved, so the
 * parts are built first and put together last. */
static bool build_statement(struct builder *builder, const struct field *link)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct buf rest BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&rest, MAX_SQL_BYTES);
    buf_init(&sql, MAX_SQL_BYTES);
    if (!append_where(compiler, &rest, link) || !append_groups(builder, &rest) ||
        !append_orders(builder, &rest) || !append_limit(compiler, &rest))
        return false;
    buf_printf(&sql, "select %s", builder->columns.data);
    append_joins(compiler, &sql);
    buf_text(&sql, rest.data);
    if (buf_is_full(&sql) || buf_is_full(&rest) || buf_is_full(&builder->columns))
        return refuse(compiler, "MALFORMED_QUERY", 0, "SOQL statement is too complicated");
    builder->plan->sql = arena_strdup(compiler->arena, sql.data);
    builder->plan->values = compiler->values;
    builder->plan->value_count = compiler->value_count;
    return true;
}

static struct soql_join *first_join(struct arena *arena, const char *alias,
                                    const struct object *object)
{
    struct soql_join *join = arena_alloc(arena, sizeof(*join));

    *join = (struct soql_join){.alias = alias, .object = object, .id_column = -1};
    return join;
}

/* link: the child's field that must be the parent's id, which is the first parameter. */
static struct soql_plan *plan_query(const struct soql_context *context,
                                    const struct soql_query *query, const struct object *object,
                                    const struct field *link)
{
    struct arena *arena = context->errors->arena;
    struct builder builder = {
        .compiler = {.context = context, .arena = arena, .query = query},
        .plan = arena_alloc(arena, sizeof(struct soql_plan)),
    };
    struct buf ignored BUF_AUTO = {0};

    buf_init(&ignored, 64);
    buf_init(&builder.columns, MAX_SQL_BYTES);
    builder.compiler.joins = first_join(arena, "t", object);
    builder.plan->object = object;
    if (link != NULL)
        soql_names_bind(&builder.compiler, &ignored, (struct value){.kind = VALUE_NULL});
    bool is_built = append_items(&builder) && build_statement(&builder, link);
    buf_done(&builder.columns);
    return is_built ? builder.plan : NULL;
}

static const struct object *find_object(const struct soql_context *context,
                                        const struct soql_query *query)
{
    const struct object *object = schema_find(context->schema, query->from);
    struct arena *arena = context->errors->arena;

    if (object != NULL && object->is_queryable)
        return object;
    soql_parse_refuse(
        context->errors, "INVALID_TYPE", query->text, query->from_position,
        arena_printf(arena,
                     "sObject type '%s' is not supported. If you are attempting to use a "
                     "custom object, be sure to append the '__c' after the entity name. "
                     "Please reference your WSDL or the describe call for the appropriate "
                     "names.",
                     query->from));
    return NULL;
}

struct soql_plan *soql_plan(const struct soql_context *context, const struct soql_query *query)
{
    const struct object *object = find_object(context, query);

    return object != NULL ? plan_query(context, query, object, NULL) : NULL;
}

bool soql_plan_semi_join(struct soql_compiler *compiler, struct buf *sql,
                         const struct soql_query *query)
{
    const struct object *object = find_object(compiler->context, query);
    struct soql_compiler inner = {
        .context = compiler->context,
        .arena = compiler->arena,
        .query = query,
        .values = compiler->values,
        .value_count = compiler->value_count,
        .value_room = compiler->value_room,
    };
    struct buf rest BUF_AUTO = {0};
    struct soql_join *join = NULL;

    buf_init(&rest, MAX_SQL_BYTES);
    if (object == NULL)
        return false;
    inner.joins = first_join(compiler->arena,
                             arena_printf(compiler->arena, "%ss", compiler->joins->alias), object);
    if (query->items->kind != SOQL_FIELD || query->items->next != NULL)
        return refuse(&inner, "MALFORMED_QUERY", query->from_position,
                      "A semi-join selects exactly one field");
    const struct field *field = soql_names_resolve(&inner, &query->items->path, &join);
    if (field == NULL || field->type->kind == KIND_COMPOUND || !append_where(&inner, &rest, NULL))
        return false;
    buf_printf(sql, "select %s.\"%s\"", join->alias, field->name);
    append_joins(&inner, sql);
    buf_printf(sql, "%s and %s.\"%s\" is not null", rest.data, join->alias, field->name);
    compiler->values = inner.values;
    compiler->value_count = inner.value_count;
    compiler->value_room = inner.value_room;
    return true;
}
