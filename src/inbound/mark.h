/*
 * How far a mapping has been read: the row of pgforce.watermark, and of pgforce.load while its
 * first load runs.
 *
 * What is stored is stored in the caller's transaction, with the rows that it speaks of.
 */
#ifndef PGFORCE_INBOUND_MARK_H
#define PGFORCE_INBOUND_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Times in microseconds since 1970, 0 for none. */
struct mark {
    int64_t changes_up_to_us;
    int64_t deletes_up_to_us;
    bool is_loaded;
    bool is_loading;  /* a load is under way; read only */
    bool is_sweeping; /* it is to find rows without a record, too; over when is_loaded is stored */
    /* By PostgreSQL's clock, before anything is asked of Salesforce; read only. */
    int64_t read_at_us;
    int64_t loading_since_us; /* the same, of the load under way */
};

bool mark_read(struct pg *pg, const struct mapping *mapping, struct mark *mark, struct error *err);

/* Times that are 0 are left as they are. */
bool mark_store(struct pg *pg, const struct mapping *mapping, const struct mark *mark,
                struct error *err);

/* That reading fails for now: the first time and its words are kept, until mark_store. */
bool mark_failing(struct pg *pg, const struct mapping *mapping, const char *reason,
                  struct error *err);

/* That the poll under way goes by Bulk: a state that is told, "WAIT_BULK_UPDATE" or
 * "POLLING_SF_BULK". mark_store ends it. */
bool mark_bulk_poll(struct pg *pg, const struct mapping *mapping, const char *state,
                    struct error *err);

/* A load that has begun and is not over. Texts are in the arena. */
struct mark_load {
    bool is_there;        /* read only: there is one */
    const char *job_id;   /* of a Bulk query; NULL: by REST, in the order of Id */
    const char *locator;  /* where its next page is; NULL at the beginning */
    const char *after_id; /* by REST: the last Id that is in the table; NULL at the beginning */
    bool is_direct;       /* the table held nothing before: its rows need no comparison */
    int64_t rows_total;   /* as counted at the beginning */
    int64_t rows_done;
    int64_t began_us; /* by PostgreSQL's clock, before anything was asked; written only */
};

bool mark_load_read(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                    struct mark_load *load, struct error *err);
bool mark_load_begin(struct pg *pg, const struct mapping *mapping, const struct mark_load *load,
                     struct error *err);

/* After a page: where it goes on, how many rows are in, and at what rate. */
bool mark_load_advance(struct pg *pg, const struct mapping *mapping, const struct mark_load *load,
                       int64_t rows_per_s, struct error *err);

/* From now on its rows are compared with those there are. */
bool mark_load_stage(struct pg *pg, const struct mapping *mapping, struct error *err);
bool mark_load_end(struct pg *pg, const struct mapping *mapping, struct error *err);

#endif
