#include "sandbox/soql_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sandbox/soql_group.h"
#include "sandbox/soql_terms.h"
#include "sandbox/soql_where.h"

enum { MAX_SQL_BYTES = 4 * 1024 * 1024, MAX_OFFSET = 2000, SHUFFLE = 7919 };

static bool refuse(struct soql_compiler *compiler, const char *code, size_t position,
                   const char *message)
{
    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, position,
                             message);
}

/* ---- children ---- */

static struct soql_plan *plan_query(const struct soql_context *context,
                                    const struct soql_query *query, const struct object *object,
                                    const struct field *link);

static bool append_children(struct soql_builder *builder, const struct soql_item *item)
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
    struct soql_context inner = *compiler->context;
    inner.is_in_pieces = false;
    struct soql_shape_item shape_item = {
        .name = link->child_relationship,
        .children = plan_query(&inner, query, child, link),
    };
    if (shape_item.children == NULL)
        return false;
    builder->plan->has_children = true;
    shape_item.children->next = builder->plan->children;
    builder->plan->children = shape_item.children;
    soql_shape_append(builder, soql_shape_of(builder, compiler->joins), &shape_item);
    return true;
}

/* ---- the statement ---- */

static bool append_selected(struct soql_builder *builder, const struct soql_item *item)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_term term;

    switch (item->kind) {
    case SOQL_CHILDREN: return append_children(builder, item);
    case SOQL_FIELDS: return soql_shape_append_fields(builder, item);
    case SOQL_TYPE_OF: return soql_shape_append_type_of(builder, item);
    case SOQL_COUNT:
        return refuse(compiler, "MALFORMED_QUERY", item->path.position,
                      "unexpected token: 'COUNT'");
    default: break;
    }
    if (!soql_terms_resolve(compiler, &item->path, item->function, &term))
        return false;
    if (!term.keeps_type)
        return refuse(compiler, "MALFORMED_QUERY", item->path.position,
                      arena_printf(compiler->arena, "Field must be grouped or aggregated: %s",
                                   term.source->name));
    bool is_new = term.is_computed
                      ? soql_shape_append_term(builder, &term, item->alias)
                      : soql_shape_append_field(builder, term.join, term.field, item->alias);
    return is_new ||
           soql_shape_refuse_twice(builder, item->alias != NULL ? item->alias : term.source->name);
}

static bool is_cut_off(const struct soql_query *query)
{
    return query->limit >= 0 || query->offset > 0;
}

static bool append_items(struct soql_builder *builder)
{
    const struct soql_query *query = builder->compiler.query;

    if (query->items->kind == SOQL_COUNT && query->items->next == NULL) {
        builder->plan->is_count = true;
        buf_text(&builder->columns, is_cut_off(query) ? "1" : "count(*)");
        return true;
    }
    if (soql_group_is_grouped(query))
        return soql_group_append_items(builder);
    builder->plan->shape = soql_shape_of(builder, builder->compiler.joins);
    for (const struct soql_item *item = query->items; item != NULL; item = item->next)
        if (!append_selected(builder, item))
            return false;
    return true;
}

/* Nulls come first, ascending or not, unless the statement says otherwise. */
static bool append_order(struct soql_builder *builder, struct buf *sql,
                         const struct soql_order *order)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_term term;

    if (builder->plan->is_aggregate) {
        if (!soql_group_write_order(builder, order, sql))
            return false;
    } else {
        if (!soql_terms_resolve(compiler, &order->path, order->function, &term))
            return false;
        if (!schema_is_sortable(term.source))
            return refuse(compiler, "MALFORMED_QUERY", order->path.position,
                          arena_printf(compiler->arena,
                                       "field '%s' can not be sorted in a query call",
                                       term.source->name));
        buf_text(sql, term.sql);
    }
    if (order->is_descending)
        buf_text(sql, order->has_nulls_last ? " desc" : " desc nulls first");
    else if (order->has_nulls_last)
        buf_text(sql, " nulls last");
    return true;
}

static bool append_orders(struct soql_builder *builder, struct buf *sql)
{
    const struct soql_context *context = builder->compiler.context;
    const char *separator = " order by ";

    for (const struct soql_order *order = builder->compiler.query->orders; order != NULL;
         order = order->next) {
        buf_text(sql, separator);
        if (!append_order(builder, sql, order))
            return false;
        separator = ", ";
    }
    if (builder->plan->piece_index > 0 && context->is_shuffled)
        buf_printf(sql, " order by t.\"_row\" * %d %% 1009", SHUFFLE);
    else if (builder->plan->piece_index > 0)
        buf_text(sql, " order by t.\"_row\"");
    return true;
}

static bool append_limit(struct soql_builder *builder, struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;
    const struct soql_query *query = compiler->query;

    if (query->offset > MAX_OFFSET) {
        errors_add(compiler->context->errors, "NUMBER_OUTSIDE_VALID_RANGE", "",
                   "Maximum SOQL offset allowed is %d", MAX_OFFSET);
        return false;
    }
    builder->plan->has_offset = query->offset > 0;
    if (is_cut_off(query))
        buf_printf(sql, " limit %" PRId64 " offset %" PRId64, query->limit, query->offset);
    return true;
}

/* What another owns is not there for who may see no more than what is his. */
static void append_sharing(const struct soql_compiler *compiler, const struct soql_join *join,
                           struct buf *sql)
{
    if (!join->object->shows_own_only)
        return;
    if (schema_field(join->object, "OwnerId") != NULL)
        buf_printf(sql, " and %s.\"OwnerId\" = '%s'", join->alias, compiler->context->user_id);
    else
        buf_text(sql, " and 0");
}

static void append_joins(const struct soql_compiler *compiler, struct buf *sql)
{
    buf_printf(sql, " from \"%s\" %s", compiler->joins->object->name, compiler->joins->alias);
    for (const struct soql_join *join = compiler->joins->next; join != NULL; join = join->next)
        if (join->choices == NULL) {
            buf_printf(sql, " left join \"%s\" %s on %s.\"Id\" = %s.\"%s\"", join->object->name,
                       join->alias, join->alias, join->from->alias, join->reference->name);
            append_sharing(compiler, join, sql);
        }
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
    append_sharing(compiler, compiler->joins, sql);
    if (compiler->query->where == NULL)
        return true;
    buf_text(sql, " and (");
    if (!soql_where(compiler, sql, compiler->query->where))
        return false;
    buf_text(sql, ")");
    return true;
}

/* Lets the rows be asked for in pieces of the table, where that changes nothing but their order. */
static void append_piece(struct soql_builder *builder, struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;
    const struct soql_query *query = compiler->query;
    struct value none = {.kind = VALUE_NULL};

    if (!compiler->context->is_in_pieces || query->orders != NULL || query->limit >= 0 ||
        query->offset > 0 || builder->plan->is_aggregate || builder->plan->is_count)
        return;
    builder->plan->piece_index = compiler->value_count + 1;
    buf_text(sql, " and t.\"_row\" > ");
    soql_names_bind(compiler, sql, none);
    buf_text(sql, " and t.\"_row\" <= ");
    soql_names_bind(compiler, sql, none);
}

/* One SELECT of the statement: what stands before and behind its FROM and WHERE. */
struct part {
    const char *columns;
    const char *clauses;
};

static bool build_part(struct soql_builder *builder, unsigned int set, struct part *part)
{
    struct arena *arena = builder->compiler.arena;
    struct buf columns BUF_AUTO = {0};
    struct buf clauses BUF_AUTO = {0};

    buf_init(&columns, MAX_SQL_BYTES);
    buf_init(&clauses, MAX_SQL_BYTES);
    if (!builder->plan->is_aggregate) {
        buf_append(&columns, builder->columns.data, builder->columns.size_bytes);
    } else if (!soql_group_write_columns(builder, set, &columns) ||
               !soql_group_write_clauses(builder, set, &clauses)) {
        return false;
    }
    *part = (struct part){.columns = arena_strdup(arena, columns.data),
                          .clauses = arena_strdup(arena, clauses.data)};
    return !buf_is_full(&columns) && !buf_is_full(&clauses);
}

static void write_parts(const struct soql_compiler *compiler, const struct part *parts,
                        unsigned int count, const char *where, struct buf *sql)
{
    if (count > 1)
        buf_text(sql, "select * from (");
    for (unsigned int i = 0; i < count; i++) {
        buf_printf(sql, "%sselect %s", i > 0 ? " union all " : "", parts[i].columns);
        append_joins(compiler, sql);
        buf_printf(sql, "%s%s", where, parts[i].clauses);
    }
    if (count > 1)
        buf_text(sql, ")");
}

/* Joins are known only when all names have been resolved, so the parts are built first and put
 * together last. */
static bool build_statement(struct soql_builder *builder, const struct field *link)
{
    enum { MAX_SETS = 8 };
    struct soql_compiler *compiler = &builder->compiler;
    unsigned int count = builder->plan->is_aggregate ? soql_group_count_sets(builder) : 1;
    struct part parts[MAX_SETS];
    struct buf where BUF_AUTO = {0};
    struct buf tail BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&where, MAX_SQL_BYTES);
    buf_init(&tail, MAX_SQL_BYTES);
    buf_init(&sql, MAX_SQL_BYTES);
    if (count == 0 || !append_where(compiler, &where, link))
        return false;
    append_piece(builder, &where);
    for (unsigned int i = 0; i < count; i++)
        if (!build_part(builder, i, &parts[i]))
            return false;
    if (!append_orders(builder, &tail) || !append_limit(builder, &tail))
        return false;
    /* A COUNT() with LIMIT counts no more rows than that. */
    bool is_counted_outside = builder->plan->is_count && is_cut_off(compiler->query);
    buf_text(&sql, is_counted_outside ? "select count(*) from (" : "");
    write_parts(compiler, parts, count, where.data, &sql);
    buf_printf(&sql, "%s%s", tail.data, is_counted_outside ? ")" : "");
    if (buf_is_full(&sql) || buf_is_full(&where) || buf_is_full(&tail))
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
    struct soql_builder builder = {
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
    const struct object *object = schema_find_visible(context->schema, query->from);
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
    if (is_cut_off(query) || query->orders != NULL || query->groups != NULL)
        return refuse(&inner, "MALFORMED_QUERY", query->from_position,
                      "A semi-join takes no GROUP BY, ORDER BY, LIMIT or OFFSET");
    const struct field *field = soql_names_resolve(&inner, &query->items->path, &join);
    if (field == NULL || field->type->kind == KIND_COMPOUND || !append_where(&inner, &rest, NULL))
        return false;
    const char *column = soql_names_column(&inner, join, field->name);
    buf_printf(sql, "select %s", column);
    append_joins(&inner, sql);
    buf_printf(sql, "%s and %s is not null", rest.data, column);
    compiler->values = inner.values;
    compiler->value_count = inner.value_count;
    compiler->value_room = inner.value_room;
    return true;
}
