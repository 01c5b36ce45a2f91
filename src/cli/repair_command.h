/*
 * `pgforce repair`: compares all of a mapping's records with its rows, by hand.
 *
 * With --dry-run it compares by itself and changes nothing; otherwise it asks the pull role, which
 * alone writes the tables, and waits for it.
 */
#ifndef PGFORCE_CLI_REPAIR_COMMAND_H
#define PGFORCE_CLI_REPAIR_COMMAND_H

#include <stdbool.h>

#include "base/error.h"
#include "run/config.h"

/* *differs: a dry run found something to repair. */
bool repair_command_run(const struct config *config, int count, char **texts, bool *differs,
                        struct error *err);

#endif
