/*
 * Decimal numbers as text: what can be said of one without making it a double.
 *
 * Pure. Texts are those of JSON and CSV: -12.340, 1.5E7.
 */
#ifndef PGFORCE_MAPPING_DECIMAL_H
#define PGFORCE_MAPPING_DECIMAL_H

#include "base/arena.h"

/* The text that PostgreSQL prints for the double of this decimal, if that can be told by looking:
 * plain, of at most 15 digits. Else NULL. */
const char *decimal_short(const char *wire, struct arena *arena);

/* Every digit, without an exponent, a plus, or zeros that say nothing. NULL when it is no decimal
 * or its exponent is beyond all that Salesforce has. */
const char *decimal_plain(const char *wire, struct arena *arena);

#endif
