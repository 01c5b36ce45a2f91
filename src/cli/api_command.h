/*
 * The commands around the HTTP API: who may use it, and what there is.
 */
#ifndef PGFORCE_CLI_API_COMMAND_H
#define PGFORCE_CLI_API_COMMAND_H

#include "run/config.h"

/* `pgforce token create NAME [ROLE] | list | revoke NAME`; texts are the words after "token". */
bool api_command_token(const struct config *config, int count, char **texts, struct error *err);

/* The route table, as Markdown for docs/api.md or as JSON lines. */
void api_command_print_routes(bool is_json);

#endif
