/*
 * What an answer of Salesforce means: one table from error codes to what the caller must do.
 *
 * Pure: no socket, no clock. A code it does not know is a matter of the record when a record has it
 * and unknown when a whole request has it; sf_outcome_is_listed lets the caller count those.
 * Source: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer Guide,
 * "Core Data Types Used in API Calls", StatusCode.
 */
#ifndef PGFORCE_SF_OUTCOME_H
#define PGFORCE_SF_OUTCOME_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum sf_outcome {
    SF_OUTCOME_SUCCESS,
    SF_OUTCOME_ALREADY_DONE,      /* DUPLICATE_VALUE naming a record; see sf_duplicate_value_id */
    SF_OUTCOME_TRANSIENT,         /* try again: smaller, later */
    SF_OUTCOME_CONFLICT,          /* 412: changed since */
    SF_OUTCOME_GONE,              /* the record is deleted; after a delete that is success */
    SF_OUTCOME_AMBIGUOUS,         /* several records own the external id */
    SF_OUTCOME_DATA,              /* the record's own values are refused */
    SF_OUTCOME_REFERENCE_MISSING, /* what it points to is not there, perhaps not yet */
    SF_OUTCOME_PERMISSION,        /* the user may not */
    SF_OUTCOME_SCHEMA,            /* object or field unknown: describe again */
    SF_OUTCOME_ORG_STOPPED,       /* storage full, API off: writes for the organisation stop */
    SF_OUTCOME_SESSION,           /* the access token is not accepted */
    SF_OUTCOME_LIMIT,             /* a request limit: wait */
    SF_OUTCOME_TOO_LARGE,         /* split the request */
    SF_OUTCOME_ROLLED_BACK,       /* another record of the request is the cause: send again */
    SF_OUTCOME_CURSOR_LOST,       /* the query must be started again */
    SF_OUTCOME_UNKNOWN,
};

/* What is known about a whole request having had an effect. */
enum sf_fate {
    SF_NOT_DONE, /* not sent or refused before execution: repeating is safe, if it is of use */
    SF_ANSWERED, /* executed, with a readable verdict (which may be per record) */
    SF_IN_DOUBT, /* cut or unreadable: it may have been executed */
};

/* The class of a record's error inside a collection or a bulk result. */
enum sf_outcome sf_outcome_of_record(const char *code, const char *message);

/* The class of a whole request that was answered; code may be NULL (no readable error). */
enum sf_outcome sf_outcome_of_request(long status, const char *code, const char *message);

/* What a whole answer with this status says about execution; is_readable: body of the kind due. */
enum sf_fate sf_fate_of_answer(long status, bool is_readable);

bool sf_outcome_is_listed(const char *code);

/* Of LIMIT: the day's requests are used up (wait for hours), not too many at once (for seconds). */
bool sf_outcome_is_daily_limit(const char *message);

/* Whether one record's data may be the reason why a request of several was refused as a whole. What
 * concerns the mapping, the user or the organisation would be refused again, piece by piece. */
bool sf_outcome_is_of_some_record(enum sf_outcome outcome);

/* "transient", "data", ...: for log lines, metrics and states. */
const char *sf_outcome_name(enum sf_outcome outcome);

/* How a role reacts to a request that ended so: RETRY, CONFIG or RECORD. */
enum error_kind sf_outcome_error_kind(enum sf_outcome outcome);

/* An 18-character id and its end. */
enum { SF_ID_BYTES = 19 };

/* "duplicate value found: Ext__c duplicates value on record with id: 0015e00000abcde": writes the
 * id as 18 characters. False when the message names none. */
bool sf_duplicate_value_id(const char *message, char id[SF_ID_BYTES]);

/* The field that DUPLICATE_VALUE names ("Ext__c"), appended to out. */
bool sf_duplicate_value_field(const char *message, struct buf *out);

#endif
