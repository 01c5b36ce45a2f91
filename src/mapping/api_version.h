/*
 * Another API version: what it would change in the mapped tables, and the change.
 *
 * The organisation is asked in the new version and compared, field by field, with what is mapped. A
 * text that grew is safe: its column is made longer. A type that changed, a text that shrank, a
 * field that is gone are not: those fields have to be unmapped first. Nothing else about a mapping
 * changes.
 *
 * Sources: heroku-connect-plugin 0.13, "manage-sf-api-version".
 */
#ifndef PGFORCE_MAPPING_API_VERSION_H
#define PGFORCE_MAPPING_API_VERSION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"
#include "sf/session.h"

struct api_version_diff {
    /* {name, fields_have_changed, has_unsafe_changes, action_undetermined, result_message}, one per
     * mapping; json_decref. */
    json_t *mappings;
    bool is_safe; /* none is unsafe */
};

/* session is of the new version. diff->mappings is the caller's also on failure. */
bool api_version_compare(struct pg *pg, const char *schema_name, struct sf_session *session,
                         struct api_version_diff *diff, struct error *err);

/* "60.0" for "60" and "60.0", in out; ERROR_USAGE for anything else. */
bool api_version_read(const char *text, char out[8], struct error *err);

/* The array of those mappings' names that are still loading. The caller owns it. */
bool api_version_syncing(struct pg *pg, const char *schema_name, json_t **names, struct error *err);

/* Makes columns longer, stores the version and tells the roles, as one transaction. */
bool api_version_change(struct pg *pg, const char *schema_name, struct sf_session *session,
                        struct error *err);

#endif
