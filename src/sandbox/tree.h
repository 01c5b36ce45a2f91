/*
 * /composite/tree/X: records with their children, created together or not at all.
 *
 * Source: REST API Developer Guide, "sObject Tree".
 */
#ifndef PGFORCE_SANDBOX_TREE_H
#define PGFORCE_SANDBOX_TREE_H

#include "sandbox/call.h"

void tree_create(struct call *call);

#endif
