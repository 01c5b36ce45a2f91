/*
 * What operators look into: the rows of mapped tables, the log and its archive.
 *
 * Every answer is a page: bounded, in the order of a key, going on from the last one seen, so that
 * it costs the same at the end of a large table as at its beginning. A table is named as
 * pgforce.mapping knows it, or there is none. Long values are cut, and say so.
 */
#ifndef PGFORCE_CONTROL_EXPLORER_H
#define PGFORCE_CONTROL_EXPLORER_H

#include "control/request.h"

/* GET C/tables/{table}/rows: `after` and `limit`; `status`, `id`, `sfid` choose. */
void explorer_rows(struct request *request);

/* GET C/log: the newest first, `before` and `limit`; `archive`, `table`, `state`, `record`, `sfid`,
 * `since`, `until` choose. */
void explorer_log(struct request *request);

/* GET C/tail: the oldest first, behind `after`; without it the newest ones. A page, or, where
 * Accept asks for it, a stream of server-sent events or of JSON lines that goes on with what comes.
 */
void explorer_tail(struct request *request);

#endif
