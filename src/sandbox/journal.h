/*
 * What was received, in order: the last JOURNAL_MAX requests, for tests to read back.
 */
#ifndef PGFORCE_SANDBOX_JOURNAL_H
#define PGFORCE_SANDBOX_JOURNAL_H

#include <jansson.h>

#include "sandbox/call.h"

enum { JOURNAL_MAX = 20000 };

struct journal *journal_new(void);
void journal_free(struct journal *journal);

/* Once a call is answered; `fault` says what the fault door did to it, NULL for nothing. */
void journal_add(struct journal *journal, const struct call *call, const char *fault);

void journal_clear(struct journal *journal);
json_t *journal_read(const struct journal *journal);

#endif
