/*
 * The rows of a bulk query as CSV, with the place of each, so that any piece of them is one piece
 * of a file. Several jobs may share them.
 */
#ifndef PGFORCE_SANDBOX_BULK_PAGES_H
#define PGFORCE_SANDBOX_BULK_PAGES_H

#include "base/buf.h"
#include "sandbox/csv.h"
#include "sandbox/soql_plan.h"
#include "sandbox/spool.h"

struct bulk_pages;

/* The columns must live as long as rows are written. */
struct bulk_pages *bulk_pages_new(const struct csv_format *format,
                                  const struct soql_column *columns);

/* Another holder of the same pages; each gives them back by bulk_pages_free. */
struct bulk_pages *bulk_pages_share(struct bulk_pages *pages);
void bulk_pages_free(struct bulk_pages *pages);

/* Appends the row the statement stands on. */
bool bulk_pages_write(struct bulk_pages *pages, sqlite3_stmt *statement, struct error *err);

/* Between two pieces of work: what was written is where it belongs. */
bool bulk_pages_settle(struct bulk_pages *pages, struct error *err);

/* For the store: where the rows are, and what was put there is so many rows. */
void bulk_pages_spools(struct bulk_pages *pages, struct spool **rows, struct spool **ends);
void bulk_pages_restore(struct bulk_pages *pages, int64_t count);

int64_t bulk_pages_count(const struct bulk_pages *pages);
bool bulk_pages_is_like(const struct bulk_pages *pages, const struct bulk_pages *other);

/* The header and `count` rows from `first` on become the answer. */
bool bulk_pages_send(struct bulk_pages *pages, int64_t first, int64_t count,
                     struct http_server_response *response, struct error *err);

#endif
