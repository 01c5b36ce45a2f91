/*
 * Rules about the organisation: the user's permissions, its limits, its API, and the objects and
 * fields that are mapped.
 */
#ifndef PGFORCE_CONTROL_CHECKS_ORG_H
#define PGFORCE_CONTROL_CHECKS_ORG_H

#include "control/checks.h"

const struct checks_rule *checks_org_rules(size_t *count);

#endif
