/*
 * The configuration of mappings: a file or one mapping becomes what is there.
 *
 * Reads, matches with the organisation and does it (lifecycle.h), for the command line and the HTTP
 * API alike; it prints nothing. An import adds and edits and takes nothing away: the fields and
 * settings that the file does not name stay. Exact is the other way: each mapping becomes what is
 * said of it.
 */
#ifndef PGFORCE_MAPPING_CONFIGURE_H
#define PGFORCE_MAPPING_CONFIGURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/import.h"
#include "mapping/lifecycle.h"
#include "pg/pg.h"
#include "sf/session.h"

struct configure_target {
    struct pg *pg;
    const char *schema_name;
    struct sf_session *session;
    struct arena *arena; /* of the report's texts */
};

struct configure_options {
    bool is_plan;         /* nothing is done */
    bool is_exact;        /* what a mapping's entry does not name is taken away */
    bool prunes;          /* mappings without an entry are deleted; implies is_exact */
    bool allows_missing;  /* what the organisation lacks is kept as an orphan */
    bool is_file;         /* what the root says beside its mappings is kept too */
    bool readds;          /* lifecycle.h */
    bool recreates_views; /* likewise */
    int bulk_above;       /* a plan: more records than this are read by Bulk */
};

struct configure_report {
    struct lifecycle_result done;
    struct import_problems warnings;
    struct import_problems problems; /* of an ERROR_RECORD: all of them, not only what fits it */
    int64_t records;                 /* of a plan: to be loaded */
    int64_t api_calls;               /* of a plan: about as many as that takes */
};

/* root is what an export holds: {"mappings": [...]}. What is wrong in it is ERROR_RECORD. */
bool configure_apply(const struct configure_target *target, json_t *root,
                     const struct configure_options *options, struct configure_report *report,
                     struct error *err);

/* A new mapping's usual config: Id, SystemModstamp, IsDeleted, CreatedDate, Name, and their
 * indexes; read_only. The caller owns it. */
bool configure_defaults(const struct configure_target *target, const char *object_name,
                        json_t **config, struct error *err);

/* The stored entry, {"object_name": ..., "config": ...}; *entry is NULL, with true, when the object
 * is not mapped. The caller owns it. */
bool configure_entry(struct pg *pg, const char *schema_name, const char *object_name,
                     json_t **entry, struct error *err);

/* All of it as Heroku Connect's JSON, version 1: what was imported, and nothing that was not. */
bool configure_export(struct pg *pg, const char *schema_name, json_t **root, struct error *err);

/* Tries the orphans again: those whose object or fields have come get their tables. */
bool configure_retry_orphans(const struct configure_target *target, int *found, struct error *err);

#endif
