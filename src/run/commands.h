/*
 * The commands that do one thing and end: import, status.
 *
 * Results go to standard output, everything else to standard error.
 */
#ifndef PGFORCE_RUN_COMMANDS_H
#define PGFORCE_RUN_COMMANDS_H

#include "run/config.h"

/* A Heroku Connect export becomes mappings and tables. path "-" is standard input. */
bool commands_import(const struct config *config, const char *path, struct error *err);

/* What is mapped, what waits, and how far each direction has come. */
bool commands_status(const struct config *config, struct error *err);

#endif
