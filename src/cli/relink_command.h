/*
 * `pgforce relink [--yes]`: this schema moves to the organisation that the credentials are for now,
 * after its sandbox was refreshed. Says what that means first (mapping/relink.h).
 */
#ifndef PGFORCE_CLI_RELINK_COMMAND_H
#define PGFORCE_CLI_RELINK_COMMAND_H

#include "run/config.h"

bool relink_command_run(const struct config *config, int count, char **texts, struct error *err);

#endif
