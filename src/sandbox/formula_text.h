/*
 * The functions of formulas for texts and picklists: a table that ends with a row without a name.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_TEXT_H
#define PGFORCE_SANDBOX_FORMULA_TEXT_H

#include "sandbox/formula.h"

extern const struct formula_function formula_text_table[];

#endif
