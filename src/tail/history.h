/*
 * What the log and its archive still know of past changes, as events for a sink.
 *
 * They hold the rows of the mapped tables, within retention, in commit order: not TRUNCATE, not
 * messages, not other tables, not _hc_lastop and _hc_err. The log keeps where a commit record
 * begins, not where it ends, so a past transaction's end LSN is the byte after its beginning:
 * reading that goes on from there goes on after the transaction.
 */
#ifndef PGFORCE_TAIL_HISTORY_H
#define PGFORCE_TAIL_HISTORY_H

#include "base/error.h"
#include "stream/sink.h"
#include "tail/filter.h"

struct history;

struct history_options {
    const char *url;
    const char *schema_name;
    const char *since; /* an LSN, a time as PostgreSQL reads it, or -INTERVAL; NULL: all there is */
    const char *until; /* likewise; NULL: up to now */
};

/*
 * Connects, and refuses (ERROR_USAGE) what the log cannot answer: a table that is not mapped, a
 * time before its beginning, a position that is none. The filter comes back narrowed to what the
 * log holds, so that a stream which goes on from it shows the same kind of thing.
 */
struct history *history_open(const struct history_options *options, struct filter *filter,
                             struct error *err);
void history_close(struct history *history);

/* False after a failure that calls for a pause. */
bool history_is_connected(const struct history *history);

/* Waits until everything committed so far is in the log (connecting again first, if need be):
 * ERROR_RETRY when that takes longer than timeout_ms, or when told to stop. */
bool history_wait(struct history *history, int timeout_ms, struct error *err);

/* Goes on at from_lsn where an earlier history_print, or a stream, has come to. */
void history_skip_to(struct history *history, lsn_t from_lsn);

/* Writes what committed before before_lsn (0: all) to the sink, until the sink is done or a stop is
 * asked for. */
bool history_print(struct history *history, lsn_t before_lsn, struct sink *sink, struct error *err);

#endif
