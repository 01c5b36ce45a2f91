/*
 * /search and /parameterizedSearch: SOSL over text fields.
 *
 * FIND {words} IN ALL FIELDS RETURNING Account(Id, Name WHERE ... LIMIT 5), Contact LIMIT 20. Each
 * object becomes one SOQL statement. Words are found anywhere in a text, not by an index of whole
 * words as a real organisation does. Source: SOQL and SOSL Reference, "SOSL Syntax".
 */
#ifndef PGFORCE_SANDBOX_SEARCH_H
#define PGFORCE_SANDBOX_SEARCH_H

#include "sandbox/call.h"

void search_get(struct call *call);
void search_parameterized(struct call *call);

#endif
