/*
 * `pgforce adopt FILE`: a schema of Heroku Connect's becomes pgforce's.
 *
 * The file is Heroku Connect's export of what the schema holds. Checks everything first; then the
 * slot is made, and one transaction takes over tables and log and removes the triggers, so that
 * every change is captured by exactly one of the two.
 */
#ifndef PGFORCE_CLI_ADOPT_COMMAND_H
#define PGFORCE_CLI_ADOPT_COMMAND_H

#include "run/config.h"

bool adopt_command_run(const struct config *config, int count, char **texts, struct error *err);

#endif
