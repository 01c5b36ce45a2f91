/*
 * Which changes a reader wants: tables by pattern, kinds of change, origins.
 *
 * Most of it is asked of the plugin, so that what nobody wants never leaves the server; the same
 * questions are answered here for what does not come from there. A pattern is schema.table or a
 * table's name alone; * stands for any run of characters, a backslash takes the next one as is.
 */
#ifndef PGFORCE_TAIL_FILTER_H
#define PGFORCE_TAIL_FILTER_H

#include "base/buf.h"
#include "base/error.h"
#include "change/change.h"
#include "pg/replica.h"

enum filter_op {
    FILTER_INSERT = 1 << 0,
    FILTER_UPDATE = 1 << 1,
    FILTER_DELETE = 1 << 2,
    FILTER_TRUNCATE = 1 << 3,
    FILTER_MESSAGE = 1 << 4,
};

struct filter_list {
    char **items;
    size_t count;
};

/* Zero wants everything. */
struct filter {
    struct filter_list tables;
    struct filter_list excluded_tables;
    struct filter_list origins; /* "none" is what was written here */
    struct filter_list excluded_origins;
    struct filter_list own_origins; /* the plugin alone is asked to leave them out */
    unsigned ops;                   /* of enum filter_op; 0 is all */
};

void filter_done(struct filter *filter);

/* text is what a command line gave: one or more, separated by commas. ERROR_USAGE says what is
 * wrong with it. */
bool filter_add_tables(struct filter_list *list, const char *text, struct error *err);
bool filter_add_origins(struct filter_list *list, const char *text, struct error *err);
bool filter_add_ops(struct filter *filter, const char *text, struct error *err);

bool filter_takes_table(const struct filter *filter, const char *schema, const char *table);
bool filter_takes_op(const struct filter *filter, enum filter_op op);
bool filter_takes_origin(const struct filter *filter, const char *origin);

/* Whether the pattern, one of filter_add_tables', fits the table. */
bool filter_fits(const char *pattern, const char *schema, const char *table);

/* Forgets which tables were wanted and which were not. */
void filter_clear_tables(struct filter *filter);

/* What the plugin is asked; the texts live as long as this. */
enum { FILTER_PLUGIN_OPTIONS = 4 };
struct filter_request {
    struct buf texts[FILTER_PLUGIN_OPTIONS];
    struct replica_option options[FILTER_PLUGIN_OPTIONS + 1];
};
void filter_request_init(struct filter_request *request, const struct filter *filter);
void filter_request_done(struct filter_request *request);

#endif
