/*
 * `pgforce tail` and `pgforce decode`: from the command line to its end.
 */
#ifndef PGFORCE_CLI_TAIL_COMMAND_H
#define PGFORCE_CLI_TAIL_COMMAND_H

#include "run/config.h"

/* argv[0] is the command's name. ERROR_USAGE: the command line is wrong. */
bool tail_command_run(const struct config *config, int argc, char **argv, struct error *err);

/* A file of changes in protobuf form, printed in another. */
bool tail_command_decode(int argc, char **argv, struct error *err);

#endif
