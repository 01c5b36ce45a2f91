/*
 * Reading records back before and after writing them: many by their keys, and a field's value in
 * one.
 */
#ifndef PGFORCE_OUTBOUND_RECORDS_H
#define PGFORCE_OUTBOUND_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "sf/session.h"

/* The value of a field in a record, sent or read: nested where it goes through a relationship. */
json_t *records_value(json_t *record, const struct mapping_field *field);

/* Whether a record holds every value of a body (JSON) that was sent; not if that is NULL. */
bool records_hold(const struct mapping *mapping, const char *body, json_t *record,
                  struct arena *arena);

/* Appends all pages of a query to records. with_deleted: queryAll. */
bool records_read(struct sf_session *session, const char *soql, bool with_deleted, json_t *records,
                  struct error *err);

/* Which records: those whose field has one of the keys. */
struct records_keys {
    const char *field;
    const char **texts;
    size_t count;
    bool with_deleted;
    bool are_numbers;
    int64_t asked_s; /* answered: Salesforce's clock at the earliest answer; 0: not told */
};

/* select is "select Id, Name from Account where ": completed and sent for some keys at a time. */
bool records_read_by_keys(struct sf_session *session, const char *select, struct records_keys *keys,
                          json_t *records, struct error *err);

#endif
