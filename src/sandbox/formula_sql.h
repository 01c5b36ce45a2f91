/*
 * A checked formula as SQL: a call of the function sandbox_formula with the formula's number and
 * the values of its inputs, which are columns of a row's table or, through parents, subqueries.
 *
 * So a formula may stand wherever a column may: among what is selected, in conditions, in an order.
 * Who runs the SQL makes the function known to SQLite (formulas.h).
 */
#ifndef PGFORCE_SANDBOX_FORMULA_SQL_H
#define PGFORCE_SANDBOX_FORMULA_SQL_H

#include "base/buf.h"
#include "sandbox/formula.h"

enum {
    FORMULA_SQL_MAX_NESTED = 6, /* formulas in formulas: SQLite's parser has a stack of 100 */
    FORMULA_SQL_MAX_BYTES = 64 * 1024,
};

/* The row is known by the alias; what it was before, by the alias o (formulas.h). False when
 * formulas are nested too deeply or in a circle, or the SQL is too long. */
bool formula_sql_write(const struct formula *formula, const char *alias, struct buf *sql);

/* A field that is not a compound, a formula or not. */
bool formula_sql_write_field(const struct field *field, const char *alias, struct buf *sql);

#endif
