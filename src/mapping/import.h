/*
 * Heroku Connect's export file (version 1), read strictly and without an organisation at hand.
 *
 * All shapes found in real files are taken: keys in any order, a connection block of any size or
 * none, no indexes, unknown keys beside those we know (kept, not read). What is wrong is said with
 * its line (broken JSON) or its path (a wrong value) and the remedy, all of it at once. Names are
 * not judged here: that is resolve.h's.
 *
 * Source: exported configurations in public repositories; Heroku Dev Center, "Mapping Configuration
 * Options".
 */
#ifndef PGFORCE_MAPPING_IMPORT_H
#define PGFORCE_MAPPING_IMPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"

struct import_index {
    const char *field_name;
    bool is_unique;
};

/* One entry of "mappings", names as the file spells them. */
struct import_entry {
    const char *object_name;
    enum mapping_access access;
    bool is_notified;
    int polling_seconds;
    int max_daily_api_calls;
    const char *upsert_field; /* NULL when there is none */
    const char **field_names;
    size_t field_count;
    struct import_index *indexes;
    size_t index_count;
    const char *filter;       /* ours: one SOQL condition; NULL when all records are mapped */
    bool is_numeric;          /* ours: numbers as numeric, without loss */
    const char *lost_create;  /* ours: "probe" when the file does not say */
    const char *marker_field; /* ours: NULL when there is none */
    const char *config;       /* the JSON of "config", compact, keys sorted */
    const char *extra;        /* of the entry without "config" */
};

/* Collects problems, so that the reader sees all of them at once. The first 1,000 are kept. */
struct import_problems {
    struct arena *arena;
    const char **lines;
    size_t kept;  /* how many lines there are */
    size_t count; /* how many problems there were */
};

struct import {
    const char *app_name;        /* "" when the file does not say */
    const char *organization_id; /* "" likewise; of the organisation exported, not of ours */
    struct import_entry *entries;
    size_t entry_count;
    const char *rest;     /* the JSON of the file without "mappings" */
    const char *features; /* of "connection"."features"; NULL when it says nothing */
    struct import_problems warnings;
};

/* The same for what has been read already. */
bool import_read(json_t *root, struct arena *arena, struct import *import, struct error *err);

/* The text as JSON, which the caller owns; ERROR_CONFIG says where it is none. */
bool import_load(const char *text, size_t size_bytes, json_t **root, struct error *err);

/* The import lives in the arena. ERROR_CONFIG when the text is not such a file. */
bool import_parse(const char *text, size_t size_bytes, struct arena *arena, struct import *import,
                  struct error *err);

void import_problem(struct import_problems *problems, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* False with ERROR_CONFIG and as many lines as an error holds, if there was any problem. */
bool import_problems_end(const struct import_problems *problems, const char *what,
                         struct error *err);

#endif
