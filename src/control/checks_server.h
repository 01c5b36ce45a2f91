/*
 * Rules about the server: its settings, the rights of pgforce's role, what `pgforce setup` makes.
 */
#ifndef PGFORCE_CONTROL_CHECKS_SERVER_H
#define PGFORCE_CONTROL_CHECKS_SERVER_H

#include "control/checks.h"

const struct checks_rule *checks_server_rules(size_t *count);

#endif
