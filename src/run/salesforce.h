/*
 * Signing in to the organisation that this connection belongs to, and to no other.
 *
 * The first import stores the organisation's id; from then on another organisation is refused,
 * because its records would look like the deletion of all of ours.
 */
#ifndef PGFORCE_RUN_SALESFORCE_H
#define PGFORCE_RUN_SALESFORCE_H

#include "pg/pg.h"
#include "run/config.h"
#include "sf/session.h"

/* pg is used for the check only. NULL on failure. */
struct sf_session *salesforce_open(const struct config *config, struct pg *pg, struct error *err);

/* Stores whose organisation this is; in the caller's transaction, if one is open. */
bool salesforce_bind(const struct config *config, struct sf_session *session, struct pg *pg,
                     struct error *err);

#endif
