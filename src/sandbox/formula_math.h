/*
 * The functions of formulas for numbers: a table that ends with a row without a name.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_MATH_H
#define PGFORCE_SANDBOX_FORMULA_MATH_H

#include "sandbox/formula.h"

/* Halves away from zero, as ROUND does. */
double formula_math_round(double number, int digits);

extern const struct formula_function formula_math_table[];

#endif
