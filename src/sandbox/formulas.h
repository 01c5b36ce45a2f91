/*
 * The formulas of an organisation: those of its fields, of its validation rules, and of the
 * filters of its roll-ups. They are bound after definitions were taken, when every object they may
 * name is there; from then on SQLite can compute them.
 */
#ifndef PGFORCE_SANDBOX_FORMULAS_H
#define PGFORCE_SANDBOX_FORMULAS_H

#include "sandbox/draft.h"
#include "sandbox/formula.h"
#include "sandbox/formula_check.h"

struct formulas;

/* Makes the functions of formula_sql.h and rollups.h known to the organisation's store. */
struct formulas *formulas_new(struct org *org);
void formulas_free(struct formulas *formulas);

/* Binds whatever is not bound yet. False (ERROR_CONFIG) at the first formula that is wrong: what
 * was defined with it must then be taken back. */
bool formulas_bind(struct org *org, struct error *err);

/* One more formula, with a number; it lives as long as the schema. */
struct formula *formulas_add(struct org *org, const struct formula_source *source,
                             struct error *err);

/* What the field's default formula gives now. False when storage failed. */
bool formulas_default(struct save *save, const struct field *field, struct value *value,
                      struct error *err);

/* The validation rules of the draft's object, on the record as it would be saved: what is violated
 * is added to the save's errors. False when storage failed. */
bool formulas_check_rules(struct draft *draft, struct error *err);

#endif
