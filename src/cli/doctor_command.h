/*
 * `pgforce doctor [MAPPING] [--json] [--offline]`: everything that is wrong, at once, each with
 * what mends it. What the API's validations answer is its --json.
 */
#ifndef PGFORCE_CLI_DOCTOR_COMMAND_H
#define PGFORCE_CLI_DOCTOR_COMMAND_H

#include "run/config.h"

/* *has_errors: something is RED. */
bool doctor_command_run(const struct config *config, int count, char **texts, bool *has_errors,
                        struct error *err);

/* `pgforce rule-table`: for docs/doctor.md. */
void doctor_command_print_rules(void);

#endif
