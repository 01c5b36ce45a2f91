/*
 * The commands on a whole configuration: import, export, plan, apply; and objects and fields, that
 * say what could be mapped.
 *
 * Results go to standard output, everything else to standard error.
 */
#ifndef PGFORCE_CLI_CONFIGURE_COMMAND_H
#define PGFORCE_CLI_CONFIGURE_COMMAND_H

#include "run/config.h"

bool configure_command_import(const struct config *config, int count, char **texts,
                              struct error *err);
bool configure_command_export(const struct config *config, int count, char **texts,
                              struct error *err);
/* *has_changes: something would be done. */
bool configure_command_plan(const struct config *config, int count, char **texts, bool *has_changes,
                            struct error *err);
bool configure_command_apply(const struct config *config, int count, char **texts,
                             struct error *err);
bool configure_command_objects(const struct config *config, int count, char **texts,
                               struct error *err);
bool configure_command_fields(const struct config *config, int count, char **texts,
                              struct error *err);

#endif
