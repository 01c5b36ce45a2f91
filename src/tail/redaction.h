/*
 * Values that must not be shown: whatever stands in a column of one of the given names becomes
 * "[redacted]", null included, before any format sees the row. That a redacted value changed is
 * still told: the new one is then "[redacted: changed]".
 *
 * A name is column, table.column or schema.table.column, compared without regard to case: it is
 * better to hide a namesake than to show a secret.
 */
#ifndef PGFORCE_TAIL_REDACTION_H
#define PGFORCE_TAIL_REDACTION_H

#include "change/change.h"

struct redaction;

struct redaction *redaction_new(void);
void redaction_free(struct redaction *redaction);
void redaction_add(struct redaction *redaction, const char *name);

/* Points row at copies without the values; they stay until the next call. */
void redaction_apply(struct redaction *redaction, struct row *row);

/* The next name after *at that no column has borne so far, or NULL: it may be misspelt. */
const char *redaction_unmet(const struct redaction *redaction, size_t *at);

#endif
