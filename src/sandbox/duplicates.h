/*
 * Duplicate rules: a record that is like another in all of a rule's fields is refused with
 * DUPLICATES_DETECTED, and its error names the others.
 *
 * The rules are the fault door's (door_rules.c) and kept with the others (rules.h). Source of the
 * answer: SOAP API Developer Guide, "DuplicateResult", which REST shows as JSON.
 */
#ifndef PGFORCE_SANDBOX_DUPLICATES_H
#define PGFORCE_SANDBOX_DUPLICATES_H

#include "sandbox/draft.h"

/* NULL, or what is wrong with the rule. */
const char *duplicates_add_rule(struct org *org, const json_t *rule);

/* False when storage failed. */
bool duplicates_check(struct draft *draft, struct error *err);

#endif
