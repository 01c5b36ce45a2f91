/*
 * Salesforce's errors: the codes, the HTTP status each travels with, and the errors of one record.
 *
 * Source: REST API Developer Guide, "Status Codes and Error Responses".
 */
#ifndef PGFORCE_SANDBOX_ERRORS_H
#define PGFORCE_SANDBOX_ERRORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct record_error {
    const char *code;
    const char *message;
    const char *fields;     /* names, separated by commas; "" is none */
    const char *duplicates; /* JSON: the duplicateResult of DUPLICATES_DETECTED; or NULL */
    struct record_error *next;
};

/* Everything wrong with one record; empty means fine. */
struct record_errors {
    struct arena *arena;
    struct record_error *first;
    struct record_error *last;
};

/* Always answers false, like error_set. */
bool errors_add(struct record_errors *errors, const char *code, const char *fields,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

bool errors_is_empty(const struct record_errors *errors);

/* 400 for a code that has no row of its own. */
int errors_status(const char *code);

/* The text as JSON; where it is not UTF-8 (a message cut in a character), with '?' for what is not
 * ASCII. */
json_t *errors_text_to_json(const char *text);

/* A JSON array; code_key is "errorCode" for a call of its own, "statusCode" inside a collection,
 * where nothing tells of duplicates. */
json_t *errors_to_json(const struct record_errors *errors, const char *code_key);

#endif
