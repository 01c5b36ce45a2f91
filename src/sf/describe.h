/*
 * What objects an organisation has and what fields an object has, as this user sees them.
 *
 * Asks anew each time and keeps nothing; what lives in the arena lives as long as the arena. Says
 * what Salesforce said: which PostgreSQL type a field becomes is src/mapping's business.
 * Source: REST API Developer Guide, "sObject Describe", "Describe Global".
 */
#ifndef PGFORCE_SF_DESCRIBE_H
#define PGFORCE_SF_DESCRIBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "sf/session.h"

/* Texts that Salesforce gives as null are NULL; numbers it does not give are 0, flags false. */
struct sf_field {
    const char *name;
    const char *label;
    const char *type; /* "string", "reference", "datetime", ... */
    const char *soap_type;
    const char *extra_type_info; /* "plaintextarea", "richtextarea", ... */
    const char *relationship_name;
    const char *compound_field_name;
    const char *mask;                /* of an encrypted text (Classic): "*" or "X" */
    const char *mask_type;           /* likewise: "all", "lastFour", "creditCard", ... */
    const char *const *reference_to; /* object names */
    size_t reference_count;
    int length;
    int byte_length;
    int precision;
    int scale;
    int digits;
    bool is_nillable;
    bool is_createable;
    bool is_updateable;
    bool is_defaulted_on_create;
    bool is_calculated;
    bool is_auto_number;
    bool is_unique;
    bool is_case_sensitive;
    bool is_external_id;
    bool is_id_lookup;
    bool is_name_field;
    bool is_custom;
    bool is_encrypted;
    bool is_filterable;
    bool is_sortable;
    bool is_deprecated;
    bool is_polymorphic;
};

struct sf_object {
    const char *name;
    const char *label;
    const char *label_plural;
    const char *key_prefix; /* "001", or NULL */
    bool is_custom;
    bool is_custom_setting;
    bool is_queryable;
    bool is_retrieveable;
    bool is_createable;
    bool is_updateable;
    bool is_deletable;
    bool is_undeletable;
    bool is_replicateable; /* getUpdated and getDeleted work */
    bool is_searchable;
    bool is_triggerable;
    bool is_deprecated;
    const struct sf_field *fields; /* none from sf_describe_global */
    size_t field_count;
};

struct sf_object_list {
    const struct sf_object *objects;
    size_t count;
};

/* ERROR_RECORD, naming it, when there is no such object or the user may not see it. */
bool sf_describe(struct sf_session *session, const char *object_name, struct arena *arena,
                 struct sf_object *out, struct error *err);

/* The same as Salesforce's own JSON, which the caller owns. */
bool sf_describe_json(struct sf_session *session, const char *object_name, json_t **out,
                      struct error *err);

bool sf_describe_global(struct sf_session *session, struct arena *arena, struct sf_object_list *out,
                        struct error *err);

/* The describe answer read; ERROR_RETRY when it is not one. Pure. */
bool sf_object_from_json(const json_t *json, struct arena *arena, struct sf_object *out,
                         struct error *err);

/* By API name, whatever its case; NULL when there is none. */
const struct sf_field *sf_object_field(const struct sf_object *object, const char *name);

#endif
