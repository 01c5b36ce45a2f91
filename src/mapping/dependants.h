/*
 * What users have made that depends on a column of a mapped table: views, materialised views,
 * foreign keys, generated columns.
 *
 * They are named before the column is changed and never dropped in silence. Plain views, and the
 * views on those, can be put aside and made again in the same transaction, with owner, options,
 * grants, triggers, defaults and comments; whatever cannot be made again as it was ends the
 * transaction.
 */
#ifndef PGFORCE_MAPPING_DEPENDANTS_H
#define PGFORCE_MAPPING_DEPENDANTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct dependant {
    const char *kind; /* "view", "materialised view", "foreign key", "generated column" */
    const char *name;
    bool is_plain_view;
};

struct dependants {
    struct dependant *items;
    size_t count;
};

struct dependants_column {
    const struct mapping *mapping;
    const char *name;
    bool is_dropped; /* foreign keys stand in the way of that alone */
};

/* In the arena. */
bool dependants_read(struct pg *pg, const struct dependants_column *column, struct arena *arena,
                     struct dependants *out, struct error *err);

/* Drops the views that depend on the column, and appends what makes them again to *statements, an
 * ended list in the arena, in the order in which it must run. */
struct dependants_aside {
    struct arena *arena;
    const char **statements;
    size_t count;
    size_t room;
};

bool dependants_put_aside(struct pg *pg, const struct dependants_column *column,
                          struct dependants_aside *aside, struct error *err);

/* Makes them again, and forgets them. */
bool dependants_restore(struct pg *pg, struct dependants_aside *aside, struct error *err);

#endif
