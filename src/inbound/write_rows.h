/*
 * Writes what is in the staging table to the mapped table; and when a row is refused there, by a
 * constraint or a trigger of the user's, finds out which, so that the others go on.
 *
 * In the caller's transaction, by savepoints. It knows neither locks nor local changes: apply.c has
 * seen to them.
 */
#ifndef PGFORCE_INBOUND_WRITE_ROWS_H
#define PGFORCE_INBOUND_WRITE_ROWS_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/apply.h"
#include "inbound/refusals.h"
#include "pg/pg.h"

/* All or nothing; counts in report. */
bool write_rows(struct pg *pg, const struct apply_page *page, struct apply_report *report,
                struct error *err);

/* What is done with the rows in the staging table: must answer ERROR_RECORD for one that is refused
 * and may be called again with some of them. */
struct write_rows_attempt {
    bool (*run)(void *context, const struct apply_page *page, struct apply_report *report,
                struct error *err);
    void *context;
    const struct apply_page *page;
};

/* Runs the attempt with all rows, and when that is refused with fewer and fewer. */
bool write_rows_or_refuse(struct pg *pg, const struct write_rows_attempt *attempt,
                          struct refusals *refusals, struct apply_report *report,
                          struct error *err);

#endif
