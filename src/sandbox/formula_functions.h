/*
 * Which functions and operators formulas know. Each family has a table in a file of its own
 * (formula_text.c, formula_math.c, formula_days.c, formula_logic.c); this finds a row.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_FUNCTIONS_H
#define PGFORCE_SANDBOX_FORMULA_FUNCTIONS_H

#include "sandbox/formula.h"

/* The first row of that name behind the given one; NULL begins, and answers that there is none. */
const struct formula_function *formula_functions_next(const char *name,
                                                      const struct formula_function *last);

#endif
