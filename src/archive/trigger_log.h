/*
 * The writer of _trigger_log: row events in, log entries out, as Heroku Connect's own triggers
 * would have made them.
 *
 *     action   old            values                       sfid          state
 *     INSERT   null           the full new row             null          NEW
 *     UPDATE   full old row   the columns that changed     the old row's NEW, or IGNORE if none did
 *     DELETE   full old row   null                         the old row's NEW, or IGNORE without
 * sfid
 *
 * _hc_lastop and _hc_err are in neither map. A read-only mapping's entries are READONLY. A row with
 * a value too large to be sent is FAILED and says so. A DELETE without sfid whose INSERT is still
 * on its way stays NEW behind it, which Heroku Connect loses. Entries are written by COPY inside
 * the caller's transaction, in the order of the calls, which is commit order.
 */
#ifndef PGFORCE_ARCHIVE_TRIGGER_LOG_H
#define PGFORCE_ARCHIVE_TRIGGER_LOG_H

#include "archive/pending.h"
#include "base/error.h"
#include "change/change.h"
#include "pg/pg.h"

struct trigger_log;

/* pg and pending outlive the log; pending gets the rows of which something is to be sent. The
 * mapped tables are read at once. */
struct trigger_log *trigger_log_new(struct pg *pg, const char *schema_name, struct pending *pending,
                                    struct error *err);
void trigger_log_free(struct trigger_log *log);

/*
 * Whether queries see what all these transactions did. It is in the stream a moment before, and
 * long before where a COMMIT waits for a standby. Outside trigger_log_begin .. end.
 */
bool trigger_log_sees(struct trigger_log *log, const uint32_t *xids, size_t count, bool *sees,
                      struct error *err);

/* Reads again which tables are mapped, and how. Outside trigger_log_begin .. end. */
bool trigger_log_reload(struct trigger_log *log, struct error *err);

/* Of a mapped table. */
bool trigger_log_is_mapped(const struct trigger_log *log, const struct relation *relation);

/* Whether the event is a row of a mapped table, so that a transaction is worth beginning. */
bool trigger_log_wants(const struct trigger_log *log, const struct event *event);

/* Inside a transaction: begins the COPY, ends it. Between them pg does nothing else. */
bool trigger_log_begin(struct trigger_log *log, struct error *err);
bool trigger_log_append(struct trigger_log *log, const struct event *event, struct error *err);
bool trigger_log_end(struct trigger_log *log, struct error *err);

/* The transaction id as txid_current() writes it: with its epoch. After trigger_log_begin. */
uint64_t trigger_log_xid(const struct trigger_log *log, uint32_t xid);

/* Gives up an open COPY; for error paths. */
void trigger_log_abort(struct trigger_log *log);

#endif
