/*
 * The commands that do one thing and end: import, status, decode, tail.
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

/* A file of protobuf changes as JSON lines. mask hides what differs from run to run. */
bool commands_decode(const char *path, bool mask, struct error *err);

/* The changes of the database as JSON lines, by a temporary slot, until told to stop. */
bool commands_tail(const struct config *config, struct error *err);

#endif
