/*
 * Conditions, in SQL, on an entry l of the log that is looked for by its table and record.
 *
 * They are written as _trigger_log_idx_unsettled has them, so that the planner has no other way
 * than this index. How many entries wait changes from none to ten thousands within a second, and
 * its statistics are of a moment before: to them Heroku Connect's indexes, which begin with the
 * state, look as cheap, and then each search for one record reads all that waits. For the same
 * reason such a search stands in a subquery that cannot become a join (LIMIT 1, OFFSET 0), and what
 * is compared with all that waits, a million when Salesforce has been away, is a list of its own
 * kind.
 */
#ifndef PGFORCE_ARCHIVE_UNSETTLED_H
#define PGFORCE_ARCHIVE_UNSETTLED_H

/* NEW, PENDING or FAILED. */
#define UNSETTLED "(l.state in ('NEW', 'PENDING', 'FAILED')) is true"

/* NEW or PENDING. */
#define UNSETTLED_UNSENT UNSETTLED " and l.state <> 'FAILED'"

/* NEW. */
#define UNSETTLED_NEW UNSETTLED " and l.state not in ('PENDING', 'FAILED')"

/* FAILED. */
#define UNSETTLED_REFUSED UNSETTLED " and l.state not in ('NEW', 'PENDING')"

/*
 * "x in" a list that may be long, between these. PostgreSQL takes an array for ten members and
 * hashes it, where a list that it expects not to fit into work_mem is gone through for each row.
 * Alone in a WHERE it wants parentheses and IS TRUE, else it becomes a join, by what is expected.
 */
#define IN_LIST     " in (select unnest(array("
#define IN_LIST_END ")))"

#endif
