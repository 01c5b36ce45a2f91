/*
 * One field's value between its three shapes: JSON from a client, a row's column, JSON to a client.
 *
 * Reading coerces as Salesforce does (numbers written as text, blanks trimmed, empty text is null)
 * and refuses with Salesforce's code and message.
 */
#ifndef PGFORCE_SANDBOX_VALUES_H
#define PGFORCE_SANDBOX_VALUES_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "sandbox/errors.h"
#include "sandbox/schema.h"
#include "sandbox/store.h"

/* False after adding to errors. The value lives as long as the errors' arena. */
bool values_read(const struct field *field, const json_t *json, struct value *value,
                 struct record_errors *errors);

/* The same from plain text: a default, a path segment. */
bool values_read_text(const struct field *field, const char *text, struct value *value,
                      struct record_errors *errors);

/* Appends JSON. */
void values_write(struct buf *out, const struct field *field, const struct value *value);
void values_write_text(struct buf *out, const char *text);
void values_write_number(struct buf *out, double number);

/* A column as it stands; its text is SQLite's until the next step. */
struct value values_peek(sqlite3_stmt *statement, int column);

#endif
