/*
 * /sobjects, /sobjects/X, /sobjects/X/describe: the schema as Salesforce tells it.
 */
#ifndef PGFORCE_SANDBOX_DESCRIBE_H
#define PGFORCE_SANDBOX_DESCRIBE_H

#include "sandbox/call.h"

void describe_global(struct call *call);
void describe_basic(struct call *call);
void describe_object(struct call *call);

#endif
