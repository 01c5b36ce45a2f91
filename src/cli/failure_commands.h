/*
 * The commands about what was refused (errors, retry, ignore) and what was overruled (conflicts).
 *
 * Results go to standard output, as a table or, with --json, as one JSON value.
 */
#ifndef PGFORCE_CLI_FAILURE_COMMANDS_H
#define PGFORCE_CLI_FAILURE_COMMANDS_H

#include "run/config.h"

/* arguments: what comes after the command's name. A wrong one is ERROR_USAGE. */
bool failure_commands_errors(const struct config *config, int count, char **arguments,
                             struct error *err);
bool failure_commands_retry(const struct config *config, int count, char **arguments,
                            struct error *err);
bool failure_commands_ignore(const struct config *config, int count, char **arguments,
                             struct error *err);
bool failure_commands_conflicts(const struct config *config, int count, char **arguments,
                                struct error *err);

#endif
