/*
 * The functions of formulas for dates and datetimes: a table that ends with a row without a name.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_DAYS_H
#define PGFORCE_SANDBOX_FORMULA_DAYS_H

#include "sandbox/formula.h"

extern const struct formula_function formula_days_table[];

#endif
