/*
 * A parsed formula against an object: every field it names is found, every function has the
 * arguments it takes, and the tree learns which inputs it reads. What Salesforce has and this does
 * not know is refused by its name.
 */
#ifndef PGFORCE_SANDBOX_FORMULA_CHECK_H
#define PGFORCE_SANDBOX_FORMULA_CHECK_H

#include "base/error.h"
#include "sandbox/formula.h"

/* What is to be checked, and by whose rules. */
struct formula_source {
    const struct schema *schema;
    const struct object *object;
    const struct field *field; /* whose value it is; NULL for a condition */
    const char *text;
    bool is_rule; /* may ask what the record was before */
    bool blanks_are_zero;
};

/* A formula in the arena; NULL after an error (ERROR_CONFIG). Its number is the caller's to set. */
struct formula *formula_check(struct arena *arena, const struct formula_source *source,
                              struct error *err);

/* What a formula sees in a field's value; FORMULA_NULL for one that no formula can read. */
enum formula_type formula_check_type(const struct field *field);

#endif
