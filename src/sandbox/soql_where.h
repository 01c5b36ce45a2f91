/*
 * WHERE: a tree of conditions becomes SQL.
 */
#ifndef PGFORCE_SANDBOX_SOQL_WHERE_H
#define PGFORCE_SANDBOX_SOQL_WHERE_H

#include "sandbox/soql_names.h"

/* Appends the condition; false after refusing. */
bool soql_where(struct soql_compiler *compiler, struct buf *sql, const struct soql_node *node);

/* Of soql_plan.c: the SQL of a semi-join's SELECT, whose values join the outer statement's. */
bool soql_plan_semi_join(struct soql_compiler *compiler, struct buf *sql,
                         const struct soql_query *query);

#endif
