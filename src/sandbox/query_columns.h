/*
 * ?columns=true: what a statement's columns are, which sf asks after every query that has rows.
 */
#ifndef PGFORCE_SANDBOX_QUERY_COLUMNS_H
#define PGFORCE_SANDBOX_QUERY_COLUMNS_H

#include "sandbox/call.h"
#include "sandbox/soql_plan.h"

void query_columns(struct call *call, const struct soql_plan *plan);

#endif
