/*
 * A mapping's filter: one SOQL condition, that is what may stand behind WHERE and nothing else.
 *
 * Parsed before it is stored, because it becomes a part of every query: fields compared with
 * literals, joined by AND, OR, NOT and brackets. LIMIT, ORDER BY, subqueries, functions and text
 * that is not balanced are refused. It knows no organisation: whether the fields exist is for
 * Salesforce to say. It never recurses.
 *
 * Source: SOQL and SOSL Reference, "Condition Expression Syntax", "Comparison Operators".
 */
#ifndef PGFORCE_MAPPING_FILTER_H
#define PGFORCE_MAPPING_FILTER_H

#include <stdbool.h>

#include "base/error.h"

/* ERROR_CONFIG says where it is no condition. */
bool filter_check(const char *condition, struct error *err);

#endif
