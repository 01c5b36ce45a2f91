/*
 * Mappings come to be and change: from what is there to what is wanted, as a list of steps that can
 * be shown before they are done.
 *
 * The same code plans and acts, so a plan shows what will be done. Acting is one transaction: all
 * of it or nothing; tables are altered in place. Where nothing is to be done, no lock is taken and
 * nothing is written, so doing the same twice changes nothing the second time. A new mapping is
 * left INITIAL and its table empty; new columns of a loaded one are left to be filled (RESYNC):
 * loading is the inbound role's.
 */
#ifndef PGFORCE_MAPPING_LIFECYCLE_H
#define PGFORCE_MAPPING_LIFECYCLE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* One line of a plan: "add column", "Account", "phone varchar(40)". */
struct lifecycle_step {
    const char *action;
    const char *object_name;
    const char *detail;
};

struct lifecycle_result {
    struct arena *arena;
    struct lifecycle_step *steps;
    size_t step_count;
    size_t room;
    int created;
    int changed;
    int unchanged;
    int deleted;
};

struct lifecycle_options {
    const char *schema_name;
    bool is_plan; /* nothing is done, the steps are said */
    bool prunes;  /* mappings that are not in the list are deleted */
    bool readds;  /* a column whose type cannot be changed in place is dropped and filled anew;
                   * otherwise it is kept */
    bool recreates_views;   /* plain views on a column that changes are made again after it */
    const char *reason;     /* said to the roles */
    const char *connection; /* JSON of what an export says beside its mappings; NULL to leave it */
};

/*
 * list is what resolve_import answered: exactly the fields and indexes each mapping shall have. A
 * table that is in the way and not ours is ERROR_CONFIG, all of them named.
 */
bool lifecycle_apply(struct pg *pg, const struct mapping_list *list,
                     const struct lifecycle_options *options, struct lifecycle_result *result,
                     struct error *err);

#endif
