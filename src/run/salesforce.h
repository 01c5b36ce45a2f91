/*
 * Signing in to the organisation that this connection belongs to, and to no other: with what the
 * environment says, or else with what `pgforce login` has stored (run/credential.h).
 *
 * The first import stores the organisation's id; from then on another organisation is refused,
 * because its records would look like the deletion of all of ours.
 */
#ifndef PGFORCE_RUN_SALESFORCE_H
#define PGFORCE_RUN_SALESFORCE_H

#include "pg/pg.h"
#include "run/config.h"
#include "sf/session.h"

/* What is not as usual; zeroed: nothing. */
struct salesforce_wish {
    const struct sf_credentials *credentials; /* in place of the configured or stored ones */
    const char *api_version;                  /* in place of the connection's */
    bool takes_any_organisation;
};

/* pg is used to read what is stored, and for the check. NULL on failure. */
struct sf_session *salesforce_open_as(const struct config *config, struct pg *pg,
                                      const struct salesforce_wish *wish, struct error *err);
struct sf_session *salesforce_open(const struct config *config, struct pg *pg, struct error *err);

/* Stores whose organisation this is; in the caller's transaction, if one is open. */
bool salesforce_bind(const struct config *config, struct sf_session *session, struct pg *pg,
                     struct error *err);

#endif
