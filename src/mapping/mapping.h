/*
 * Which Salesforce object is which table, as stored in pgforce.mapping and pgforce.mapping_field.
 *
 * A mapping is plain data, loaded once and read by both directions; it is complete in itself, so
 * nobody has to ask the organisation again what a column means. It knows nothing of how it came
 * about (import.h, resolve.h, lifecycle.h) nor of the table's definition (schema.h).
 */
#ifndef PGFORCE_MAPPING_MAPPING_H
#define PGFORCE_MAPPING_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/fieldtype.h"
#include "pg/pg.h"

enum mapping_access { MAPPING_READ_ONLY, MAPPING_READ_WRITE };

/* A field is the object's own, or (relationship_name not NULL) a parent's external id. */
struct mapping_field {
    const char
        *field_name; /* as the organisation spells it; Account__External_Id__c for a parent's */
    const char *column_name; /* "sfid" for Id, otherwise field_name in lower case */
    const struct fieldtype *type;
    const char *column_type; /* PostgreSQL's, "varchar(18)" */
    const char *soql_path;   /* what SELECT names: "Name", "Account.External_Id__c" */
    const char *mask;        /* of an encrypted text, "* lastFour" (mask.h); NULL: not told */
    bool is_createable;
    bool is_updateable;
    bool is_calculated;            /* a formula or a roll-up */
    bool is_filled;                /* false while a column that was added waits for its values */
    bool is_missing;               /* the organisation has lost it: not writable, see survey.h */
    bool is_system;                /* Id, SystemModstamp and IsDeleted: never the user's to write */
    const char *relationship_name; /* "Account", "Parent__r"; NULL for a field of the object */
    const char *reference_object;  /* "Account"; NULL likewise */
    const char *reference_field;   /* "External_Id__c"; NULL likewise */
};

struct mapping_index {
    const char *column_name;
    bool is_unique;
};

struct mapping {
    int64_t id; /* 0 when not stored yet */
    const char *schema_name;
    const char *object_name; /* as the organisation spells it */
    const char *table_name;
    const char *state;             /* 'INITIAL', 'DATA_SYNCED', ... */
    const char *note;              /* what all is well but; of survey_leave_out, else NULL */
    const char *state_description; /* NULL when there is nothing to say */
    const char *operation;         /* 'RELOAD', 'RELOAD_DESTRUCTIVE': asked for; else NULL */
    enum mapping_access access;
    int polling_seconds;
    int max_daily_api_calls;
    bool is_notified; /* accelerated polling was asked for */
    bool has_isdeleted;
    bool keeps_deleted; /* a deleted record's row stays, isdeleted true; the default removes it */
    const char *upsert_field;             /* NULL when there is none */
    const struct mapping_field *upsert;   /* the field of that name, NULL likewise */
    const struct mapping_field *id_field; /* Id, column sfid: always there */
    /* What polls go by: SystemModstamp, or LastModifiedDate or CreatedDate where it lacks it. */
    const struct mapping_field *stamp;
    struct mapping_field *fields; /* Id first, then in the order of the table's columns */
    size_t field_count;
    struct mapping_index *indexes; /* chosen by the user or made for the upsert field */
    size_t index_count;
    const char *filter;     /* one SOQL condition, or NULL for all records */
    int calculated_seconds; /* how often formulas and roll-ups are compared; 0: with the drift */
    bool is_numeric;        /* numbers are numeric, not double precision */
    bool is_surveyed;       /* since it was last edited (survey.h) */
    bool is_orphan;         /* the organisation lacks the object or a field: no fields, no table */
    const char *config;     /* the import's JSON for this mapping */
    /* Likewise: "probe" (the default), "receipt", "marker", "fail", "resend", "refuse". */
    const char *lost_create;
    const char *marker_field; /* likewise, of "marker"; else NULL */
    bool adopts_existing; /* likewise: an INSERT takes over the record that has its identifier */
    const char *extra;    /* what its entry says beside "config" */
    const char
        *conflict_policy; /* of that: "last-writer" (the default), "postgres", "salesforce" */
};

struct mapping_list {
    struct mapping *items; /* in the order of object names */
    size_t count;
};

/* Loads all mappings of a schema that are not orphans; they live in the arena. */
bool mapping_load_all(struct pg *pg, const char *schema_name, struct arena *arena,
                      struct mapping_list *list, struct error *err);

/* The orphans too. */
bool mapping_load_every(struct pg *pg, const char *schema_name, struct arena *arena,
                        struct mapping_list *list, struct error *err);

/* NULL when there is none. Table and column names are exact; object and field names are not case
 * sensitive, as in Salesforce. */
const struct mapping *mapping_find_by_table(const struct mapping_list *list,
                                            const char *table_name);
const struct mapping *mapping_find_by_object(const struct mapping_list *list,
                                             const char *object_name);
const struct mapping_field *mapping_field_by_column(const struct mapping *mapping,
                                                    const char *column_name);
const struct mapping_field *mapping_field_by_name(const struct mapping *mapping,
                                                  const char *field_name);

/* What a name given by an operator that no mapping has is answered: always false. */
bool mapping_refuse_unknown(const char *schema_name, const char *object_name, struct error *err);

/* Sets the pointers into fields (id_field, stamp, upsert); false (ERROR_BUG) when Id or the stamp
 * is missing. For whoever fills a mapping by hand. */
bool mapping_bind(struct mapping *mapping, struct error *err);

/* Whether a column that was added waits for its values. */
bool mapping_lacks_values(const struct mapping *mapping);

/* Columns a user must not write: sfid, systemmodstamp, isdeleted, id, _hc_lastop, _hc_err. */
bool mapping_is_system_column(const char *column_name);

/* "read_only" or "read_write". */
const char *mapping_access_name(enum mapping_access access);

/* An API name as a table or column: lower case, cut to 63 bytes, as the server itself would cut it.
 */
const char *mapping_identifier(const char *api_name, struct arena *arena);

#endif
