/*
 * From a row's values to the record that Salesforce gets.
 *
 * Sends only what the organisation lets us write: an INSERT its createable fields that are not
 * null, an UPDATE the changed updateable ones, null included. A parent's external id becomes a
 * nested record, {"Account": {"External_Id__c": "A-1"}}, which Salesforce resolves. A mask is not
 * sent. It reads no table and sends nothing.
 */
#ifndef PGFORCE_OUTBOUND_BATCH_H
#define PGFORCE_OUTBOUND_BATCH_H

#include <jansson.h>
#include <stdbool.h>

#include "archive/hstore.h"
#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "sync/delivery.h"

struct batch_record {
    json_t *json; /* owned by the caller; NULL for a DELETE, or when nothing is to be sent */
    const char *external_id; /* the unique identifier's value in it; NULL if none */
    size_t field_count;
};

struct batch_source {
    const struct mapping *mapping;
    enum delivery_action action;
    const char *sfid; /* of what is updated */
    const struct hstore_pair *pairs;
    size_t pair_count;
};

/* ERROR_RECORD when the values cannot be sent as they are; the message is for sf_message. */
bool batch_make_record(const struct batch_source *source, struct arena *arena,
                       struct batch_record *record, struct error *err);

#endif
