/*
 * Conditions, of WHERE and of HAVING: what stands behind the word, as a tree.
 */
#ifndef PGFORCE_SANDBOX_SOQL_PARSE_WHERE_H
#define PGFORCE_SANDBOX_SOQL_PARSE_WHERE_H

#include "sandbox/soql_parser.h"

struct soql_node *soql_parse_where(struct soql_parser *parser);

/* Of soql_parse.c: a statement inside parentheses. */
struct soql_query *soql_parse_nested(struct soql_parser *parser);

#endif
