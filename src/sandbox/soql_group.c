#include "sandbox/soql_group.h"

#include <string.h>
#include <strings.h>

#include "sandbox/soql_terms.h"
#include "sandbox/soql_where.h"

enum { MAX_ROLLED = 3 };

static bool refuse(struct soql_builder *builder, size_t position, const char *message)
{
    struct soql_compiler *compiler = &builder->compiler;

    return soql_parse_refuse(compiler->context->errors, "MALFORMED_QUERY", compiler->query->text,
                             position, message);
}

bool soql_group_is_grouped(const struct soql_query *query)
{
    for (const struct soql_item *item = query->items; item != NULL; item = item->next)
        if (item->kind == SOQL_AGGREGATE && soql_terms_is_aggregate(item->function))
            return true;
    return query->groups != NULL;
}

static bool is_same_path(const struct soql_path *one, const struct soql_path *other)
{
    bool is_same = one->count == other->count;

    for (size_t i = 0; is_same && i < one->count; i++)
        is_same = strcasecmp(one->names[i], other->names[i]) == 0;
    return is_same;
}

static bool is_same_function(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcasecmp(one, other) == 0;
}

/* The number of the GROUP BY member that this is; -1 when it is none. */
static int find_group(const struct soql_query *query, const struct soql_path *path,
                      const char *function)
{
    int number = 0;

    for (const struct soql_group *each = query->groups; each != NULL; each = each->next, number++)
        if (is_same_path(&each->path, path) && is_same_function(each->function, function))
            return number;
    return -1;
}

/* ---- columns ---- */

static bool is_grouping_function(const char *function)
{
    return function != NULL && strcasecmp(function, "GROUPING") == 0;
}

static bool is_grouping(const struct soql_item *item)
{
    return is_grouping_function(item->function);
}

/* The value of an aggregate is shown by its own kind, anything else by its field's. */
static bool append_item(struct soql_builder *builder, const struct soql_item *item, int *unnamed)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_shape_item shape_item = {.name = item->alias, .is_aggregate = true};
    struct soql_term term;

    if (item->kind != SOQL_FIELD && item->kind != SOQL_AGGREGATE)
        return refuse(builder, item->path.position, "Field must be grouped or aggregated");
    if (!soql_terms_resolve(compiler, &item->path, is_grouping(item) ? NULL : item->function,
                            &term))
        return false;
    if (!term.is_aggregate &&
        find_group(compiler->query, &item->path, is_grouping(item) ? NULL : item->function) < 0)
        return refuse(builder, item->path.position,
                      arena_printf(compiler->arena, "Field must be grouped or aggregated: %s",
                                   term.source->name));
    if (shape_item.name == NULL)
        shape_item.name = item->function == NULL
                              ? term.field->name
                              : arena_printf(compiler->arena, "expr%d", (*unnamed)++);
    if (!is_grouping(item) && (term.keeps_type || !term.is_aggregate))
        shape_item.field = term.field;
    shape_item.is_aggregate = item->function != NULL;
    shape_item.column = builder->column_count++;
    soql_shape_append(builder, builder->plan->shape, &shape_item);
    return true;
}

bool soql_group_append_items(struct soql_builder *builder)
{
    int unnamed = 0;

    builder->plan->is_aggregate = true;
    builder->plan->shape = arena_alloc(builder->compiler.arena, sizeof(struct soql_shape));
    for (const struct soql_item *item = builder->compiler.query->items; item != NULL;
         item = item->next)
        if (!append_item(builder, item, &unnamed))
            return false;
    return true;
}

/* ---- sets ---- */

static unsigned int count_groups(const struct soql_query *query)
{
    unsigned int count = 0;

    for (const struct soql_group *each = query->groups; each != NULL; each = each->next)
        count++;
    return count;
}

unsigned int soql_group_count_sets(struct soql_builder *builder)
{
    const struct soql_query *query = builder->compiler.query;
    unsigned int count = count_groups(query);

    if (query->grouping == SOQL_PLAIN)
        return 1;
    if (count > MAX_ROLLED) {
        refuse(builder, query->groups->path.position,
               "At most three fields may be grouped by ROLLUP or CUBE");
        return 0;
    }
    return query->grouping == SOQL_ROLLUP ? count + 1 : 1u << count;
}

/* Whether the set groups by that member: ROLLUP drops one more from the end in each, CUBE any. */
static bool is_in_set(const struct soql_query *query, unsigned int set, unsigned int member)
{
    switch (query->grouping) {
    case SOQL_ROLLUP: return member + set < count_groups(query);
    case SOQL_CUBE: return (set >> member & 1u) == 0;
    case SOQL_PLAIN: break;
    }
    return true;
}

bool soql_group_write_columns(struct soql_builder *builder, unsigned int set, struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;
    const char *separator = "";

    for (const struct soql_item *item = compiler->query->items; item != NULL; item = item->next) {
        const char *function = is_grouping(item) ? NULL : item->function;
        int member = find_group(compiler->query, &item->path, function);
        bool is_kept = member < 0 || is_in_set(compiler->query, set, (unsigned int)member);
        struct soql_term term;

        if (!soql_terms_resolve(compiler, &item->path, function, &term))
            return false;
        if (is_grouping(item))
            buf_printf(sql, "%s%d", separator, !is_kept);
        else
            buf_printf(sql, "%s%s", separator, is_kept ? term.sql : "null");
        separator = ", ";
    }
    return true;
}

static bool write_groups(struct soql_builder *builder, unsigned int set, struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;
    const char *separator = " group by ";
    unsigned int member = 0;

    for (const struct soql_group *each = compiler->query->groups; each != NULL;
         each = each->next, member++) {
        struct soql_term term;

        if (!soql_terms_resolve(compiler, &each->path, each->function, &term))
            return false;
        if (each->function == NULL && !schema_is_groupable(term.source))
            return refuse(builder, each->path.position,
                          arena_printf(compiler->arena,
                                       "field '%s' can not be grouped in a query call",
                                       term.source->name));
        if (!is_in_set(compiler->query, set, member))
            continue;
        buf_printf(sql, "%s%s", separator, term.sql);
        separator = ", ";
    }
    return true;
}

bool soql_group_write_clauses(struct soql_builder *builder, unsigned int set, struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;

    if (!write_groups(builder, set, sql))
        return false;
    if (compiler->query->having == NULL)
        return true;
    buf_text(sql, " having ");
    compiler->is_in_having = true;
    bool is_written = soql_where(compiler, sql, compiler->query->having);
    compiler->is_in_having = false;
    return is_written;
}

bool soql_group_write_order(struct soql_builder *builder, const struct soql_order *order,
                            struct buf *sql)
{
    struct soql_compiler *compiler = &builder->compiler;
    struct soql_term term;
    int column = 1;

    if (compiler->query->grouping == SOQL_PLAIN) {
        if (!soql_terms_resolve(compiler, &order->path, order->function, &term))
            return false;
        if (!term.is_aggregate && find_group(compiler->query, &order->path, order->function) < 0)
            return refuse(builder, order->path.position,
                          arena_printf(compiler->arena,
                                       "Ordered field must be grouped or aggregated: %s",
                                       term.source->name));
        buf_text(sql, term.sql);
        return true;
    }
    for (const struct soql_item *item = compiler->query->items; item != NULL; item = item->next) {
        if (is_same_path(&item->path, &order->path) &&
            is_same_function(item->function, order->function)) {
            buf_printf(sql, "%d", column);
            return true;
        }
        column++;
    }
    return refuse(builder, order->path.position,
                  "With ROLLUP and CUBE, ORDER BY takes what is selected");
}
