/*
 * What Salesforce tells of an encrypted text (Classic encryption) to a user without View Encrypted
 * Data: a mask. It is no value: written back, it would replace the secret by stars.
 *
 * A mask is known by its look, for the organisation tells no more of a record. Which look a field
 * has is chosen there, and its description says so: all characters or all but the last four, with
 * separators for numbers of cards and offices, by * or X (Salesforce Help, "Encrypted Fields: Mask
 * Type and Mask Character"). Where it does not, whatever looks like one of these is a mask.
 */
#ifndef PGFORCE_MAPPING_MASK_H
#define PGFORCE_MAPPING_MASK_H

#include <stdbool.h>

#include "base/arena.h"
#include "mapping/mapping.h"
#include "sf/describe.h"

/* What a mapping's field keeps of the description: "* lastFour", or NULL. */
const char *mask_describe(const struct sf_field *field, struct arena *arena);

/* text may be NULL. */
bool mask_is_one(const struct mapping_field *field, const char *text);

#endif
