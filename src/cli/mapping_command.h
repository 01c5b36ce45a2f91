/*
 * `pgforce mapping VERB`, `pause` and `resume`: what operators do with mappings.
 *
 * Reads the command line, asks before something is destroyed, prints. What is done is
 * src/mapping's. Results go to standard output, as JSON with --json.
 */
#ifndef PGFORCE_CLI_MAPPING_COMMAND_H
#define PGFORCE_CLI_MAPPING_COMMAND_H

#include "cli/help.h"
#include "run/config.h"

/* texts[0] is the verb; for the other two there need be nothing. */
bool mapping_command_run(const struct config *config, int count, char **texts, struct error *err);
bool mapping_command_pause(const struct config *config, int count, char **texts, struct error *err);
bool mapping_command_resume(const struct config *config, int count, char **texts,
                            struct error *err);

/* Its verbs, for help. */
struct help_commands mapping_command_verbs(void);

#endif
