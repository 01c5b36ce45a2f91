/*
 * What a client may ask of the plugin when it starts to read: one row per option in options.c.
 *
 * Any role with REPLICATION may pass options, so they are read strictly: an unknown name, a second
 * mention or a malformed value ends the start with an error that names the option. With none,
 * everything the role may read is streamed.
 */
#ifndef PGFORCE_PLUGIN_OPTIONS_H
#define PGFORCE_PLUGIN_OPTIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"

enum action {
    ACTION_INSERT = 1 << 0,
    ACTION_UPDATE = 1 << 1,
    ACTION_DELETE = 1 << 2,
    ACTION_TRUNCATE = 1 << 3,
    ACTION_MESSAGE = 1 << 4,
    ACTION_ALL = (1 << 5) - 1,
};

/* Patterns over names: * stands for any run of characters, a backslash takes the next one as is. */
struct name_pattern {
    const char *schema;
    const char *table; /* NULL: any */
};

struct options {
    List *exclude_origins; /* of char * */
    List *tables;          /* of struct name_pattern *; empty: all */
    List *exclude_tables;  /* likewise; empty: none */
    List *schemas;         /* likewise, without a table */
    unsigned actions;      /* of enum action */
    Size max_value_bytes;
    bool native;
    bool streaming;    /* send large transactions while they are in progress */
    bool through_root; /* send a partition's rows under its topmost ancestor's name */
};

/* Reads the list of DefElem that the server hands over; all memory is the current context's. */
void options_read(struct options *options, List *elements);

/* Whether the options let changes of this table through. */
bool options_take_table(const struct options *options, const char *schema, const char *table);

#endif
