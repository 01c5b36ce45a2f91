/*
 * Salesforce record ids: 15 case-sensitive characters, or 18 with a check for programs that ignore
 * case. Everything of ours holds 18.
 *
 * Source: Salesforce Help, "Convert 15-Character ID to 18-Character ID".
 */
#ifndef PGFORCE_SF_ID_H
#define PGFORCE_SF_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "sf/outcome.h"

/* What an id is made of. */
#define SF_ID_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* 15 letters or digits, or 18 with the right check characters. */
bool sf_id_is_valid(const char *text);

/* From 15 or 18 characters to 18, the check characters in upper case. False, and out empty, when
 * text is no id. */
bool sf_id_to_18(const char *text, char out[SF_ID_BYTES]);

/* As above from the first length characters of text, which need not end there. */
bool sf_id_from(const char *text, size_t length, char out[SF_ID_BYTES]);

/* Whether two ids, of 15 or 18 characters, are the same record's. */
bool sf_id_is_same(const char *left, const char *right);

#endif
