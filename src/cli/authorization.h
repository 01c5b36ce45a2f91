/*
 * A web login in two halves, begun in one process and ended in another: the HTTP API hands out an
 * address, and later the browser comes back to it.
 *
 * What the second half needs is sealed in the database, found by the hash of the state, good once
 * and for a quarter of an hour.
 */
#ifndef PGFORCE_CLI_AUTHORIZATION_H
#define PGFORCE_CLI_AUTHORIZATION_H

#include <jansson.h>
#include <stdbool.h>

#include "pg/pg.h"
#include "run/config.h"

/* Stores an object of texts under the state. */
bool authorization_put(struct pg *pg, const struct config *config, const char *state,
                       const json_t *texts, struct error *err);

/* Takes it out again; ERROR_CONFIG when there is none, or it is too old. json_decref. */
bool authorization_take(struct pg *pg, const struct config *config, const char *state,
                        json_t **texts, struct error *err);

#endif
