/*
 * The connection as a whole: its state, pausing and resuming it.
 *
 * Paused means that nothing is read from Salesforce and nothing sent; changes are still logged, and
 * after resuming all goes on where it was. The roles look at each turn and are woken.
 */
#ifndef PGFORCE_MAPPING_CONNECTION_H
#define PGFORCE_MAPPING_CONNECTION_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/* One of state.h's, a literal. ERROR_CONFIG when the schema is not set up. */
bool connection_state(struct pg *pg, const char *schema_name, const char **state,
                      struct error *err);

bool connection_is_paused(struct pg *pg, const char *schema_name, bool *is_paused,
                          struct error *err);

/* Doing what is done already is no error. */
bool connection_pause(struct pg *pg, const char *schema_name, struct error *err);

/* Mappings in SYSTEM_ERROR are tried again at once. *resumed says how many they were. */
bool connection_resume(struct pg *pg, const char *schema_name, int *resumed, struct error *err);

/* The organisation has refused the credentials, or has accepted them again. */
bool connection_note_sign_in(struct pg *pg, const char *schema_name, bool is_authorized,
                             struct error *err);

/* What is said to the roles when the API version has changed: each ends with ERROR_RETRY, and is
 * started again with a session of the new one. */
#define CONNECTION_NEW_VERSION "api version"

bool connection_is_new_version(const char *said);
bool connection_ask_restart(struct error *err);

#endif
