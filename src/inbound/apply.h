/*
 * Salesforce's records into a mapped table: one page, one transaction, together with the watermark.
 *
 * A row equal to what is there is not written. A row whose record has local changes on their way is
 * merged field by field (src/sync); one that somebody has locked, or whose own INSERT is under way,
 * is held: the caller must read it again. A row that the table refuses is recorded, and the others
 * go on. Everything is written under the origin that the connection carries and so never captured.
 * It asks Salesforce nothing.
 */
#ifndef PGFORCE_INBOUND_APPLY_H
#define PGFORCE_INBOUND_APPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "inbound/growth.h"
#include "inbound/held.h"
#include "inbound/stage.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

struct apply_world {
    struct pg *pg;      /* carries the pull or the load origin */
    struct pg *barrier; /* carries none; see progress_barrier */
    const char *schema_name;
    struct arena *arena; /* reset by the caller after each page */
    struct growth *growth;
    bool
        confirms_all_deletions; /* also those that Salesforce reports wait when they are too many */
    bool is_announced; /* the table has triggers: pg carries the echo origin (announce.h) */
    int64_t began_us;  /* the reading, by PostgreSQL's clock: what was written later it may lack */
    int64_t began_sf_us; /* and by Salesforce's; 0: unknown */
};

/* Puts rows, one after the other, into the stage, as they come from somewhere else. */
struct apply_source {
    bool (*give)(void *context, struct stage *stage, struct error *err);
    void *context;
};

struct apply_page {
    const struct mapping *mapping;
    const json_t *records;             /* as a query answers them; or NULL and: */
    const struct apply_source *source; /* where the rows come from */
    bool is_initial;                   /* of the initial load: _hc_lastop stays null */
    bool is_old;                       /* polls go on meanwhile: what they wrote is newer */
    bool is_confirmed;                 /* its deletions are not to wait */
    bool is_direct;                    /* none of them is in the table, nor has local changes */
    /* Inside the transaction, after the rows: stores the watermark. May be NULL. */
    bool (*store)(void *context, struct pg *pg, struct error *err);
    void *context;
    bool is_stored_whole; /* not when a record is held: nothing but what is stored tells of it */
};

struct apply_report {
    int64_t read; /* all records of the page, also those that changed nothing */
    int64_t inserted;
    int64_t updated;
    int64_t deleted;
    int64_t merged;
    struct held held; /* read them again */
    int64_t refused;  /* recorded in pgforce.refused_record */
    bool has_grown; /* with ERROR_RETRY: a column was widened, load the mappings and do it again */
};

/* Adds to report. On false nothing of the page is applied. */
bool apply_records(const struct apply_world *world, const struct apply_page *page,
                   struct apply_report *report, struct error *err);

/*
 * The same in two halves, so that the next page is staged on another connection while the server
 * writes this one and the archive reads what it wrote. The first three fields are the caller's to
 * set; what they point at, and this itself, stay where they are until the page is ended or given
 * up. Pages end in the order in which they began.
 */
struct apply_work {
    const struct apply_world *world;
    const struct apply_page *page;
    struct refusals refusals; /* its arena */
    struct stage stage;
    int64_t aside;         /* rows that are judged one by one in any case: known_rows.h */
    bool is_written_first; /* the others: by a statement that is under way */
};

/* When either is false the page must be given up, which rolls back, mends what can be mended (a
 * column that is too narrow) and is false, always. */
bool apply_begin(struct apply_work *work, struct error *err);
bool apply_end(struct apply_work *work, struct apply_report *report, struct error *err);
bool apply_give_up(struct apply_work *work, struct apply_report *report, struct error *err);

#endif
