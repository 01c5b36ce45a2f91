/*
 * The functions of formulas for conditions, comparisons, blanks and what a record was before: a
 * table that ends with a row without a name.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_LOGIC_H
#define PGFORCE_SANDBOX_FORMULA_LOGIC_H

#include "sandbox/formula.h"

extern const struct formula_function formula_logic_table[];

#endif
