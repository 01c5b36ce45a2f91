/*
 * /query and /queryAll: running a plan, writing its rows, and the pages of a long result.
 *
 * A result of more than one page is copied into a temporary table, so pages can be fetched again
 * and do not move when rows change. A locator is an id, "-" and the number of the next row.
 */
#ifndef PGFORCE_SANDBOX_QUERY_H
#define PGFORCE_SANDBOX_QUERY_H

#include "sandbox/call.h"
#include "sandbox/soql_plan.h"

struct cursors *query_new_cursors(void);
void query_free_cursors(struct cursors *cursors);

/* Every locator becomes invalid. */
void query_forget_cursors(struct cursors *cursors, struct store *store);

/* Runs a statement and answers with its first page. */
void query_answer(struct call *call, const char *soql, bool includes_deleted);

void query_get(struct call *call);
void query_get_all(struct call *call);
void query_more(struct call *call);

/* Plans a statement; NULL after answering the call with what is wrong. */
struct soql_plan *query_plan(struct call *call, struct arena *arena, const char *soql,
                             bool includes_deleted);

/* The same for a bulk query: where order and limit allow, a plan for pieces of the table. */
struct soql_plan *query_plan_pieces(struct call *call, struct arena *arena, const char *soql,
                                    bool includes_deleted, bool is_shuffled);

/* Appends the row a statement stands on as a JSON object. False when storage failed. */
bool query_write_row(struct call *call, const struct soql_plan *plan, sqlite3_stmt *statement,
                     struct buf *out, struct error *err);

/* A statement of the plan's SQL with its values bound; the caller finalizes it. */
bool query_prepare(struct call *call, const struct soql_plan *plan, const char *sql,
                   sqlite3_stmt **statement, struct error *err);

#endif
