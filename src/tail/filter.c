#include "tail/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* The plugin's name for each kind of change. */
static const struct {
    const char *name;
    enum filter_op op;
} ops[] = {
    {"insert", FILTER_INSERT},     {"update", FILTER_UPDATE},   {"delete", FILTER_DELETE},
    {"truncate", FILTER_TRUNCATE}, {"message", FILTER_MESSAGE},
};

enum { OP_COUNT = sizeof(ops) / sizeof(ops[0]), LIST_MAX_BYTES = 1 << 20 };

static void list_done(struct filter_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct filter_list){0};
}

void filter_done(struct filter *filter)
{
    list_done(&filter->tables);
    list_done(&filter->excluded_tables);
    list_done(&filter->origins);
    list_done(&filter->excluded_origins);
    list_done(&filter->own_origins);
}

void filter_clear_tables(struct filter *filter)
{
    list_done(&filter->tables);
    list_done(&filter->excluded_tables);
}

static void list_add(struct filter_list *list, const char *text)
{
    list->items = memory_realloc(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = memory_strdup(text);
}

/* The end of the part that begins at text: the separator that no backslash precedes, or the end. */
static const char *part_end(const char *text, char separator)
{
    while (*text != '\0' && *text != separator)
        text += text[0] == '\\' && text[1] != '\0' ? 2 : 1;
    return text;
}

/* Calls add for each part between commas; none may be empty. */
static bool split(struct filter_list *list, const char *text,
                  bool (*add)(struct filter_list *list, const char *part, struct error *err),
                  struct error *err)
{
    for (;;) {
        const char *end = part_end(text, ',');
        char *part = memory_alloc((size_t)(end - text) + 1);

        memcpy(part, text, (size_t)(end - text));
        bool is_ok = part[0] != '\0' ? add(list, part, err)
                                     : error_set(err, ERROR_USAGE, "an empty name in a list");
        free(part);
        if (!is_ok || *end == '\0')
            return is_ok;
        text = end + 1;
    }
}

static bool add_table(struct filter_list *list, const char *part, struct error *err)
{
    const char *dot = part_end(part, '.');
    struct buf pattern BUF_AUTO = {0};

    if (dot == part || (*dot != '\0' && (dot[1] == '\0' || *part_end(dot + 1, '.') != '\0')))
        return error_set(err, ERROR_USAGE,
                         "\"%s\" is no pattern of a table: it is schema.table or table, where *"
                         " stands for any characters",
                         part);
    buf_init(&pattern, LIST_MAX_BYTES);
    if (*dot == '\0')
        buf_text(&pattern, "*.");
    buf_text(&pattern, part);
    list_add(list, pattern.data);
    return true;
}

bool filter_add_tables(struct filter_list *list, const char *text, struct error *err)
{
    return split(list, text, add_table, err);
}

static bool add_origin(struct filter_list *list, const char *part, struct error *err)
{
    (void)err;
    list_add(list, part);
    return true;
}

bool filter_add_origins(struct filter_list *list, const char *text, struct error *err)
{
    return split(list, text, add_origin, err);
}

static bool add_op(struct filter_list *list, const char *part, struct error *err)
{
    for (size_t i = 0; i < OP_COUNT; i++) {
        if (strcmp(ops[i].name, part) != 0)
            continue;
        list_add(list, part);
        return true;
    }
    return error_set(err, ERROR_USAGE,
                     "\"%s\" is no kind of change: there are insert, update, delete, truncate and"
                     " message",
                     part);
}

bool filter_add_ops(struct filter *filter, const char *text, struct error *err)
{
    struct filter_list names = {0};
    bool is_ok = split(&names, text, add_op, err);

    for (size_t i = 0; i < names.count; i++)
        for (size_t j = 0; j < OP_COUNT; j++)
            if (strcmp(ops[j].name, names.items[i]) == 0)
                filter->ops |= ops[j].op;
    list_done(&names);
    return is_ok;
}

/*
 * Without recursion: when a character does not fit, the last star takes one character more, which
 * is enough because earlier stars need never give back what they took.
 */
static bool matches(const char *pattern, const char *end, const char *name)
{
    const char *after_star = NULL;
    const char *retry = NULL;

    while (*name != '\0') {
        bool is_escaped = pattern + 1 < end && pattern[0] == '\\';

        if (pattern < end && *pattern == '*') {
            after_star = ++pattern;
            retry = name;
        } else if (pattern < end && pattern[is_escaped] == *name) {
            pattern += is_escaped ? 2 : 1;
            name++;
        } else if (after_star != NULL) {
            pattern = after_star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool filter_fits(const char *pattern, const char *schema, const char *table)
{
    const char *dot = part_end(pattern, '.');

    return matches(pattern, dot, schema) && matches(dot + 1, dot + strlen(dot), table);
}

static bool any_fits(const struct filter_list *list, const char *schema, const char *table)
{
    for (size_t i = 0; i < list->count; i++)
        if (filter_fits(list->items[i], schema, table))
            return true;
    return false;
}

bool filter_takes_table(const struct filter *filter, const char *schema, const char *table)
{
    return (filter->tables.count == 0 || any_fits(&filter->tables, schema, table)) &&
           !any_fits(&filter->excluded_tables, schema, table);
}

bool filter_takes_op(const struct filter *filter, enum filter_op op)
{
    return filter->ops == 0 || (filter->ops & op) != 0;
}

static bool names_origin(const struct filter_list *list, const char *origin)
{
    const char *name = origin[0] != '\0' ? origin : "none";

    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

bool filter_takes_origin(const struct filter *filter, const char *origin)
{
    return (filter->origins.count == 0 || names_origin(&filter->origins, origin)) &&
           !names_origin(&filter->excluded_origins, origin);
}

static void join(struct buf *text, const char *item)
{
    if (text->size_bytes > 0)
        buf_char(text, ',');
    buf_text(text, item);
}

static void join_list(struct buf *text, const struct filter_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        join(text, list->items[i]);
}

/* "none" is no origin that the server knows: that one is dropped here. */
static void join_origins(struct buf *text, const struct filter_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], "none") != 0)
            join(text, list->items[i]);
}

static void join_ops(struct buf *text, unsigned wanted)
{
    for (size_t i = 0; i < OP_COUNT; i++)
        if ((wanted & ops[i].op) != 0)
            join(text, ops[i].name);
}

void filter_request_init(struct filter_request *request, const struct filter *filter)
{
    static const char *const names[FILTER_PLUGIN_OPTIONS] = {"tables", "exclude_tables",
                                                             "exclude_origins", "actions"};
    size_t count = 0;

    for (size_t i = 0; i < FILTER_PLUGIN_OPTIONS; i++)
        buf_init(&request->texts[i], LIST_MAX_BYTES);
    join_list(&request->texts[0], &filter->tables);
    join_list(&request->texts[1], &filter->excluded_tables);
    join_origins(&request->texts[2], &filter->excluded_origins);
    join_origins(&request->texts[2], &filter->own_origins);
    join_ops(&request->texts[3], filter->ops);
    for (size_t i = 0; i < FILTER_PLUGIN_OPTIONS; i++)
        if (request->texts[i].size_bytes > 0)
            request->options[count++] = (struct replica_option){names[i], request->texts[i].data};
    request->options[count] = (struct replica_option){NULL, NULL};
}

void filter_request_done(struct filter_request *request)
{
    for (size_t i = 0; i < FILTER_PLUGIN_OPTIONS; i++)
        buf_done(&request->texts[i]);
}
