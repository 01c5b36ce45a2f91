/*
 * The roles, each from its configuration to its main loop. They run until told to stop.
 */
#ifndef PGFORCE_RUN_ROLES_H
#define PGFORCE_RUN_ROLES_H

#include "run/config.h"

/* The slot's changes into _trigger_log. */
bool roles_archive(const struct config *config, struct error *err);

/* _trigger_log to Salesforce. */
bool roles_push(const struct config *config, struct error *err);

/* Salesforce to the mapped tables. */
bool roles_pull(const struct config *config, struct error *err);

/* The HTTP API and the dashboard. */
bool roles_watch(const struct config *config, struct error *err);
bool roles_serve(const struct config *config, struct error *err);

/* Hears of changes in Salesforce, for the mappings that want it. */
bool roles_listen(const struct config *config, struct error *err);

/* Settled entries to _trigger_log_archive. */
bool roles_housekeeper(const struct config *config, struct error *err);

/* All of them, under a supervisor. */
bool roles_run(const struct config *config, struct error *err);

#endif
