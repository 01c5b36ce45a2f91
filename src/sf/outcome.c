#include "sf/outcome.h"

#include <string.h>

#include "sf/id.h"

struct outcome_row {
    const char *code;
    enum sf_outcome of_record;
    enum sf_outcome of_request;
};

#define BOTH(code, outcome)                                                                        \
    {                                                                                              \
        code, SF_OUTCOME_##outcome, SF_OUTCOME_##outcome                                           \
    }

static const struct outcome_row rows[] = {
    BOTH("UNABLE_TO_LOCK_ROW", TRANSIENT),
    BOTH("ROW_LOCK", TRANSIENT),
    BOTH("SERVER_UNAVAILABLE", TRANSIENT),
    BOTH("QUERY_TIMEOUT", TRANSIENT),
    BOTH("REQUEST_RUNNING_TOO_LONG", TRANSIENT),
    BOTH("UNKNOWN_EXCEPTION", TRANSIENT),
    BOTH("INTERNAL_ERROR", TRANSIENT),
    BOTH("TXN_SECURITY_METERING_ERROR", TRANSIENT),
    BOTH("TOO_MANY_APEX_REQUESTS", TRANSIENT),
    BOTH("LIMIT_EXCEEDED", TRANSIENT),
    BOTH("APEX_ERROR", DATA),
    BOTH("CANNOT_EXECUTE_FLOW_TRIGGER", DATA),
    BOTH("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", PERMISSION),
    BOTH("DUPLICATE_VALUE", DATA),
    BOTH("DUPLICATE_EXTERNAL_ID", AMBIGUOUS),
    BOTH("DUPLICATES_DETECTED", DATA),
    BOTH("DUPLICATE_DML", DATA),
    BOTH("ENTITY_IS_DELETED", GONE),
    {"NOT_FOUND", SF_OUTCOME_GONE, SF_OUTCOME_SCHEMA},
    BOTH("INVALID_CROSS_REFERENCE_KEY", REFERENCE_MISSING),
    BOTH("ENTITY_IS_LOCKED", REFERENCE_MISSING),
    BOTH("REQUIRED_FIELD_MISSING", DATA),
    BOTH("STRING_TOO_LONG", DATA),
    BOTH("FIELD_CUSTOM_VALIDATION_EXCEPTION", DATA),
    BOTH("FIELD_INTEGRITY_EXCEPTION", DATA),
    BOTH("FIELD_FILTER_VALIDATION_EXCEPTION", DATA),
    BOTH("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", DATA),
    BOTH("INVALID_EMAIL_ADDRESS", DATA),
    BOTH("NUMBER_OUTSIDE_VALID_RANGE", DATA),
    BOTH("INVALID_TYPE_ON_FIELD_IN_RECORD", DATA),
    BOTH("MALFORMED_ID", DATA),
    BOTH("MISSING_ARGUMENT", DATA),
    BOTH("INVALID_ARGUMENT_TYPE", DATA),
    BOTH("JSON_PARSER_ERROR", DATA),
    BOTH("DELETE_FAILED", DATA),
    BOTH("DEPENDENCY_EXISTS", DATA),
    BOTH("MIXED_DML_OPERATION", DATA),
    BOTH("CIRCULAR_DEPENDENCY", DATA),
    BOTH("TRANSFER_REQUIRES_READ", PERMISSION),
    BOTH("INSUFFICIENT_ACCESS", PERMISSION),
    BOTH("INSUFFICIENT_ACCESS_OR_READONLY", PERMISSION),
    BOTH("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", PERMISSION),
    BOTH("INVALID_FIELD_FOR_INSERT_UPDATE", PERMISSION),
    BOTH("TXN_SECURITY_NO_ACCESS", PERMISSION),
    BOTH("INVALID_AUTH_HEADER", SESSION),
    BOTH("INVALID_SESSION_ID", SESSION),
    BOTH("InvalidSessionId", SESSION),
    BOTH("INVALID_FIELD", SCHEMA),
    BOTH("INVALID_TYPE", SCHEMA),
    BOTH("INVALIDENTITY", SCHEMA),
    BOTH("MALFORMED_QUERY", SCHEMA),
    BOTH("INVALID_QUERY_FILTER_OPERATOR", SCHEMA),
    BOTH("METHOD_NOT_ALLOWED", SCHEMA),
    BOTH("STORAGE_LIMIT_EXCEEDED", ORG_STOPPED),
    BOTH("FUNCTIONALITY_NOT_ENABLED", ORG_STOPPED),
    BOTH("FEATURENOTENABLED", ORG_STOPPED),
    BOTH("API_DISABLED_FOR_ORG", ORG_STOPPED),
    BOTH("API_CURRENTLY_DISABLED", ORG_STOPPED),
    BOTH("REQUEST_LIMIT_EXCEEDED", LIMIT),
    BOTH("EXCEEDED_ID_LIMIT", TOO_LARGE),
    BOTH("OPERATION_TOO_LARGE", TOO_LARGE),
    BOTH("ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK),
    BOTH("PROCESSING_HALTED", ROLLED_BACK),
    BOTH("BATCH_PROCESSING_HALTED", ROLLED_BACK),
    BOTH("INVALID_QUERY_LOCATOR", CURSOR_LOST),
    BOTH("INVALID_REPLICATION_DATE", UNKNOWN),
};

/* What the text of an error inside customer code says of its cause. */
static const char *const transient_texts[] = {
    "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access",
    "LimitException",     "Too many SOQL queries",
    "CPU time limit",     "Apex CPU time",
};

static const struct outcome_row *find_row(const char *code)
{
    for (size_t i = 0; code != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].code, code) == 0)
            return &rows[i];
    }
    return NULL;
}

static bool is_customer_code(const char *code)
{
    return strcmp(code, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY") == 0 ||
           strcmp(code, "CANNOT_EXECUTE_FLOW_TRIGGER") == 0 || strcmp(code, "APEX_ERROR") == 0;
}

static bool names_passing_cause(const char *message)
{
    for (size_t i = 0; i < sizeof(transient_texts) / sizeof(transient_texts[0]); i++) {
        if (strstr(message, transient_texts[i]) != NULL)
            return true;
    }
    return false;
}

/* The message decides where one code stands for causes that want different remedies. */
static enum sf_outcome refine(enum sf_outcome outcome, const char *code, const char *message)
{
    char id[SF_ID_BYTES];

    if (message == NULL)
        return outcome;
    if (strcmp(code, "DUPLICATE_VALUE") == 0 && sf_duplicate_value_id(message, id))
        return SF_OUTCOME_ALREADY_DONE;
    if (is_customer_code(code) && names_passing_cause(message))
        return SF_OUTCOME_TRANSIENT;
    if (strcmp(code, "INVALID_FIELD") == 0 && strstr(message, "Foreign key external ID") != NULL)
        return SF_OUTCOME_REFERENCE_MISSING;
    return outcome;
}

enum sf_outcome sf_outcome_of_record(const char *code, const char *message)
{
    const struct outcome_row *row = find_row(code);

    return row != NULL ? refine(row->of_record, code, message) : SF_OUTCOME_DATA;
}

static enum sf_outcome outcome_of_status(long status)
{
    switch (status) {
    case 300: return SF_OUTCOME_AMBIGUOUS;
    case 401: return SF_OUTCOME_SESSION;
    case 403: return SF_OUTCOME_PERMISSION;
    case 404: return SF_OUTCOME_SCHEMA;
    case 412: return SF_OUTCOME_CONFLICT;
    case 413:
    case 414:
    case 431: return SF_OUTCOME_TOO_LARGE;
    case 429: return SF_OUTCOME_LIMIT;
    case 406:
    case 408:
    case 420:
    case 500:
    case 502:
    case 503:
    case 504: return SF_OUTCOME_TRANSIENT;
    default: return SF_OUTCOME_UNKNOWN;
    }
}

enum sf_outcome sf_outcome_of_request(long status, const char *code, const char *message)
{
    if (status >= 200 && status < 300)
        return SF_OUTCOME_SUCCESS;

    const struct outcome_row *row = find_row(code);
    return row != NULL ? refine(row->of_request, code, message) : outcome_of_status(status);
}

enum sf_fate sf_fate_of_answer(long status, bool is_readable)
{
    if (status >= 200 && status < 300)
        return is_readable ? SF_ANSWERED : SF_IN_DOUBT;
    if (status == 503)
        return SF_NOT_DONE;
    /* A time-out reported by a server in between says nothing about the one behind it. */
    if (status == 408 || status >= 500 || status < 200)
        return SF_IN_DOUBT;
    return SF_NOT_DONE;
}

bool sf_outcome_is_listed(const char *code)
{
    return find_row(code) != NULL;
}

bool sf_outcome_is_daily_limit(const char *message)
{
    return strstr(message, "TotalRequests") != NULL;
}

bool sf_outcome_is_of_some_record(enum sf_outcome outcome)
{
    switch (outcome) {
    case SF_OUTCOME_DATA:
    case SF_OUTCOME_REFERENCE_MISSING:
    case SF_OUTCOME_AMBIGUOUS:
    case SF_OUTCOME_GONE:
    case SF_OUTCOME_TOO_LARGE: return true;
    default: return false;
    }
}

const char *sf_outcome_name(enum sf_outcome outcome)
{
    static const char *const names[] = {
        [SF_OUTCOME_SUCCESS] = "success",
        [SF_OUTCOME_ALREADY_DONE] = "already_done",
        [SF_OUTCOME_TRANSIENT] = "transient",
        [SF_OUTCOME_CONFLICT] = "conflict",
        [SF_OUTCOME_GONE] = "gone",
        [SF_OUTCOME_AMBIGUOUS] = "ambiguous",
        [SF_OUTCOME_DATA] = "data",
        [SF_OUTCOME_REFERENCE_MISSING] = "reference_missing",
        [SF_OUTCOME_PERMISSION] = "permission",
        [SF_OUTCOME_SCHEMA] = "schema",
        [SF_OUTCOME_ORG_STOPPED] = "org_stopped",
        [SF_OUTCOME_SESSION] = "session",
        [SF_OUTCOME_LIMIT] = "limit",
        [SF_OUTCOME_TOO_LARGE] = "too_large",
        [SF_OUTCOME_ROLLED_BACK] = "rolled_back",
        [SF_OUTCOME_CURSOR_LOST] = "cursor_lost",
        [SF_OUTCOME_UNKNOWN] = "unknown",
    };

    return names[outcome];
}

enum error_kind sf_outcome_error_kind(enum sf_outcome outcome)
{
    switch (outcome) {
    case SF_OUTCOME_SUCCESS: return ERROR_NONE;
    case SF_OUTCOME_TRANSIENT:
    case SF_OUTCOME_SESSION:
    case SF_OUTCOME_LIMIT:
    case SF_OUTCOME_ROLLED_BACK:
    case SF_OUTCOME_CURSOR_LOST:
    case SF_OUTCOME_UNKNOWN: return ERROR_RETRY;
    case SF_OUTCOME_PERMISSION:
    case SF_OUTCOME_SCHEMA:
    case SF_OUTCOME_ORG_STOPPED: return ERROR_CONFIG;
    default: return ERROR_RECORD;
    }
}

bool sf_duplicate_value_id(const char *message, char id[SF_ID_BYTES])
{
    static const char before[] = "record with id: ";
    const char *found = strstr(message, before);

    id[0] = '\0';
    if (found == NULL)
        return false;
    found += sizeof(before) - 1;
    return sf_id_from(found, strspn(found, SF_ID_CHARACTERS), id);
}

bool sf_duplicate_value_field(const char *message, struct buf *out)
{
    static const char before[] = "duplicate value found: ";
    const char *found = strstr(message, before);

    if (found == NULL)
        return false;
    found += sizeof(before) - 1;
    size_t length = strcspn(found, " ");
    if (length == 0 || strncmp(found + length, " duplicates ", 12) != 0)
        return false;
    buf_append(out, found, length);
    return true;
}
