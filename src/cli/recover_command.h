/*
 * `pgforce recover`: lets a restored database send again, after comparing what waits in its log
 * with the organisation.
 *
 * An INSERT whose record is there already, found by its unique identifier, is put in doubt, so that
 * push reads it back instead of creating it again. An UPDATE or DELETE of a record that Salesforce
 * has changed since, or no longer has, is IGNORED: the newer state comes by the next poll. The rest
 * is sent as it stands. Without --yes it only says so.
 */
#ifndef PGFORCE_CLI_RECOVER_COMMAND_H
#define PGFORCE_CLI_RECOVER_COMMAND_H

#include "run/config.h"

/* *has_plan: there is something to recover, and it was not carried out. */
bool recover_command_run(const struct config *config, int count, char **texts, bool *has_plan,
                         struct error *err);

#endif
