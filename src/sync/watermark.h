/*
 * Where the next poll of an object reads from, and what may be stored when its rows are.
 *
 * A row gets its SystemModstamp when its save begins and becomes visible when it commits, minutes
 * later at worst; many rows share a second. So the mark is never the greatest stamp seen and never
 * our clock: it is what Salesforce says it has covered, and windows are closed below and overlap.
 * Reading a row twice is harmless (sync/merge.h), missing one is not.
 *
 * The mark must be committed in the transaction that stores the rows. Times are microseconds since
 * 1970-01-01 UTC, of Salesforce's clock; 0 is not known.
 *
 * Sources: Salesforce REST API Developer Guide (Get Updated, Get Deleted), Salesforce Object
 * Reference (System Fields).
 */
#ifndef PGFORCE_SYNC_WATERMARK_H
#define PGFORCE_SYNC_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

struct watermark_limits {
    int64_t lag_us;     /* how long a save may run between its stamp and its commit */
    int64_t overlap_us; /* how far before the mark to read again */
    int64_t step_us;    /* the longest window; 0 for no upper bound (the usual) */
};

/* lag 5 min, overlap 1 min, no step. */
struct watermark_limits watermark_default_limits(void);

struct watermark_window {
    int64_t from_us; /* SystemModstamp >= this; 0: everything */
    int64_t to_us;   /* SystemModstamp < this; 0: no upper bound */
};

/* What to ask for. mark_us 0 reads all. */
struct watermark_window watermark_window(int64_t mark_us, const struct watermark_limits *limits);

struct watermark_poll {
    int64_t mark_us;        /* stored before */
    int64_t server_time_us; /* the Date of the answer to the window's FIRST request */
    int64_t covered_us;     /* latestDateCovered, where it was asked for */
    int64_t latest_seen_us; /* greatest stamp among the rows: a clock of last resort */
    int64_t held_us;        /* least stamp of the rows that could not be stored yet */
    struct watermark_window window;
};

/* The mark to store with the rows once the whole window is read: never before the old one. */
int64_t watermark_after(const struct watermark_poll *poll, const struct watermark_limits *limits);

struct watermark_deletions {
    int64_t from_us; /* getDeleted's start and end: whole minutes, more than one apart */
    int64_t to_us;
    bool is_lost; /* the mark is older than Salesforce remembers: compare all ids */
};

/* What to ask getDeleted for. Without a mark nothing can be lost: the load reads what is alive. */
struct watermark_deletions watermark_deletions(int64_t mark_us, int64_t server_time_us);

/*
 * The mark after its answer: never before the old one. The answer is ids only. While a
 * create of the object is unsettled, an id that no row knows may be the one it made, and its row
 * would be bound to a dead record: the mark must not pass the sending. create_age_us is how long
 * before server_time_us, at most, the oldest of them was sent; 0: there is none.
 */
struct watermark_deleted {
    int64_t mark_us;        /* stored before */
    int64_t server_time_us; /* as above */
    int64_t covered_us;     /* latestDateCovered */
    int64_t create_age_us;
};

int64_t watermark_deletions_after(const struct watermark_deleted *deleted);

/* After the answer: whether earliestDateAvailable shows that deletions after the mark are gone. */
bool watermark_deletions_lost(int64_t mark_us, int64_t earliest_available_us);

#endif
