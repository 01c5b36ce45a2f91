/*
 * `pgforce api-version [NN.0 [--change]]`: which version of Salesforce's API is spoken, what
 * another would change, and the change.
 */
#ifndef PGFORCE_CLI_VERSION_COMMAND_H
#define PGFORCE_CLI_VERSION_COMMAND_H

#include "run/config.h"

bool version_command_run(const struct config *config, int count, char **texts, struct error *err);

#endif
