/*
 * `pgforce login` and `pgforce logout`: connecting to an organisation once, so that the roles need
 * no secret in their environment.
 *
 * A login is tried before it is stored, and stored with the organisation that it is for; another
 * organisation than the connection's is refused. Nothing secret is taken from the command line.
 */
#ifndef PGFORCE_CLI_LOGIN_COMMAND_H
#define PGFORCE_CLI_LOGIN_COMMAND_H

#include "run/config.h"

bool login_command_login(const struct config *config, int count, char **texts, struct error *err);
bool login_command_logout(const struct config *config, int count, char **texts, struct error *err);

#endif
