/*
 * The command `truncations`: TRUNCATEs of mapped tables that wait for an operator's word.
 */
#ifndef PGFORCE_CLI_TRUNCATION_COMMAND_H
#define PGFORCE_CLI_TRUNCATION_COMMAND_H

#include "pg/pg.h"
#include "run/config.h"

/* arguments: what comes after the command's name. A wrong one is ERROR_USAGE. */
bool truncation_command_run(const struct config *config, int count, char **arguments,
                            struct error *err);

/* For `status`: a table of them, or nothing where none waits. */
bool truncation_command_print(struct pg *pg, const struct config *config, struct error *err);

#endif
