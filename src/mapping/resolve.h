/*
 * From the names of an export to mappings: every object and field is looked up in the organisation.
 *
 * Either all of an import resolves or nothing does, and then one error lists everything that did
 * not. Adds what every mapping needs (Id, the modification stamp, IsDeleted). It asks for describes
 * through a function, so it needs no organisation in tests, and it writes nothing.
 */
#ifndef PGFORCE_MAPPING_RESOLVE_H
#define PGFORCE_MAPPING_RESOLVE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/import.h"
#include "mapping/mapping.h"

struct sf_object;

/*
 * Answers *object NULL, and true, for an object the organisation does not have or does not show us.
 * The object must stay valid while resolve_import runs. Asked many times for the same name: cache.
 */
struct resolve_org {
    bool (*describe)(void *context, const char *object_name, const struct sf_object **object,
                     struct error *err);
    void *context;
    /* What it lacks makes an orphan (mapping.h) instead of a problem. */
    bool allows_missing;
};

struct resolve_result {
    struct mapping_list list; /* schema_name and id not set yet */
    /* Whole lists, for those who can show more than an error message holds. */
    struct import_problems problems;
    struct import_problems warnings;
};

/* "a big object", for an object whose kind has no table; else NULL. By its name alone. */
const char *resolve_refusal(const char *object_name);

/* result's contents live in the arena. */
bool resolve_import(const struct import *import, const struct resolve_org *org, struct arena *arena,
                    struct resolve_result *result, struct error *err);

#endif
