/*
 * The route table: method, path, who may, and the function that answers. docs/api.md's list is
 * printed from it, and a test walks it with every role.
 */
#ifndef PGFORCE_CONTROL_ROUTES_H
#define PGFORCE_CONTROL_ROUTES_H

#include <stdio.h>

#include "control/request.h"

void routes_dispatch(struct request *request);

/* As a Markdown table, and as JSON lines for tests. */
void routes_print_markdown(FILE *out);
void routes_print_json(FILE *out);

#endif
