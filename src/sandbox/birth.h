/*
 * The rows an organisation is born with: itself, its user, and what the definitions list as "rows"
 * (profiles, stages, the standard price book).
 *
 * They have numbers the counters of ids never hand out, so they are the same in every organisation
 * and after every reset. "rows" know no references.
 */
#ifndef PGFORCE_SANDBOX_BIRTH_H
#define PGFORCE_SANDBOX_BIRTH_H

#include "sandbox/org.h"

/* Sets the ids of the organisation and its user. */
void birth_name(struct org *org);

bool birth_insert_rows(struct org *org, struct error *err);

/* A row of these values, read as a client's are, past every rule. */
bool birth_insert_row(struct org *org, const struct object *object, const char *id,
                      const json_t *json, struct error *err);

/* The id of the n-th of an object's "rows". */
struct ids_text birth_id(const struct object *object, size_t n);

#endif
