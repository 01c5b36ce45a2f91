/*
 * Texts that are secrets: what is freed is overwritten first. For a buffer, seal_wipe
 * (base/seal.h).
 *
 * All are the memory's owner's to call; NULL is accepted. It does not know what is secret.
 */
#ifndef PGFORCE_SF_SECRET_H
#define PGFORCE_SF_SECRET_H

#include <jansson.h>

void sf_secret_wipe(const char *text);

/* Puts a copy in the place of an older text; an empty text is none. */
void sf_secret_replace(const char **place, const char *text);

/* The texts of an object, and then the reference. */
void sf_secret_wipe_json(json_t *json);

#endif
