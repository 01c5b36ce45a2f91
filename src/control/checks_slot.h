/*
 * Rules about capture: the slot, the write-ahead log it retains, how far the archive has come, who
 * holds it up, and whether the roles run.
 */
#ifndef PGFORCE_CONTROL_CHECKS_SLOT_H
#define PGFORCE_CONTROL_CHECKS_SLOT_H

#include "control/checks.h"

const struct checks_rule *checks_slot_rules(size_t *count);

#endif
