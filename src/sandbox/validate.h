/*
 * What a draft must meet before it becomes a row: required fields, living parents, unique values,
 * validation rules. Types, lengths and picklists were checked when it was read (values.h).
 */
#ifndef PGFORCE_SANDBOX_VALIDATE_H
#define PGFORCE_SANDBOX_VALIDATE_H

#include "sandbox/draft.h"

/* Adds to the save's errors; false only when storage failed. */
bool validate_draft(struct draft *draft, struct error *err);

#endif
