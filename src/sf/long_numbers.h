/*
 * Numbers of JSON with more digits than a double holds, kept as texts.
 *
 * A JSON library makes doubles of them and their last digits are lost. Pure.
 */
#ifndef PGFORCE_SF_LONG_NUMBERS_H
#define PGFORCE_SF_LONG_NUMBERS_H

#include <stdbool.h>

#include "base/buf.h"

/* Whether json holds such numbers; then out, which the caller has initialised, is the same JSON
 * with them in quotes. What is no JSON is copied as it is. */
bool sf_long_numbers(const struct buf *json, struct buf *out);

#endif
