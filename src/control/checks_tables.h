/*
 * Rules about the mapped tables: what an application or an administrator may have done to them, and
 * what waits for an operator's word.
 */
#ifndef PGFORCE_CONTROL_CHECKS_TABLES_H
#define PGFORCE_CONTROL_CHECKS_TABLES_H

#include "control/checks.h"

const struct checks_rule *checks_tables_rules(size_t *count);

#endif
