/*
 * SOQL text, written safely: the one place where a value becomes a literal and a name an
 * identifier.
 *
 * Source: SOQL and SOSL Reference, "Quoted String Escape Sequences", "Date Formats and Date
 * Literals". Pure.
 */
#ifndef PGFORCE_SF_SOQL_H
#define PGFORCE_SF_SOQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends 'text' with quotes, backslashes and control characters escaped. ERROR_RECORD when the
 * text holds a character that no literal can (control characters other than \b \f \n \r \t, or
 * bytes that are not UTF-8). */
bool soql_quote(struct buf *out, const char *text, struct error *err);

/* Appends 2026-01-31T10:20:30.000Z, unquoted as SOQL wants it. */
void soql_datetime(struct buf *out, int64_t time_us);

/* Letters, digits, "_" and, for a path through relationships, single "."s; starts with a letter. */
bool soql_is_name(const char *text);

/* "select A, B from X". ERROR_CONFIG when a name is none or there are no fields. */
bool soql_select(struct buf *out, const char *const *fields, size_t count, const char *object,
                 struct error *err);

/* "Name in ('a', 'b')". */
bool soql_in(struct buf *out, const char *field, const char *const *values, size_t count,
             struct error *err);

/* "Code__c in (1, 2.5)", as a field of a number wants it. ERROR_RECORD for what is no plain number.
 */
bool soql_in_numbers(struct buf *out, const char *field, const char *const *values, size_t count,
                     struct error *err);

#endif
