/*
 * The command that tells how far it has come: status.
 *
 * Results go to standard output, everything else to standard error.
 */
#ifndef PGFORCE_CLI_COMMANDS_H
#define PGFORCE_CLI_COMMANDS_H

#include "run/config.h"

/* What is mapped, what waits, and how far each direction has come; as JSON what the API's /status
 * answers. */
bool commands_status(const struct config *config, bool is_json, struct error *err);

#endif
