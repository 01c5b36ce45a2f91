/*
 * The text of a formula as a tree. Pure: no name is looked up, no type known (formula_check.h).
 */
#ifndef PGFORCE_SANDBOX_FORMULA_PARSE_H
#define PGFORCE_SANDBOX_FORMULA_PARSE_H

#include "base/error.h"
#include "sandbox/formula.h"

/* NULL after setting an error (ERROR_CONFIG) that names the place and the remedy. */
struct formula_node *formula_parse(struct arena *arena, const char *text, struct error *err);

/* "line 2, character 7: " in front of the error; answers false. */
bool formula_parse_locate(struct error *err, const char *text, size_t position);

#endif
