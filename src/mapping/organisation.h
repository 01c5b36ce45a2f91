/*
 * What the organisation has, asked once each: for resolve.h, and for choosing what to map.
 *
 * "No such object" is an answer here, not a failure: all that is missing is told together.
 */
#ifndef PGFORCE_MAPPING_ORGANISATION_H
#define PGFORCE_MAPPING_ORGANISATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/resolve.h"
#include "sf/session.h"

struct organisation;

/* Lives in the arena, and so do its answers; the session must outlive them. */
struct organisation *organisation_new(struct sf_session *session, struct arena *arena);

struct resolve_org organisation_resolver(struct organisation *organisation);

/* *object NULL when there is none, or the integration user may not see it. */
bool organisation_describe(struct organisation *organisation, const char *object_name,
                           const struct sf_object **object, struct error *err);

/* How many records an object has, of those that the filter takes unless it is NULL. */
bool organisation_count(struct organisation *organisation, const char *object_name,
                        const char *filter, int64_t *count, struct error *err);

/*
 * An array of {name, label, is_mappable, reason}: the objects whose name or label holds search (all
 * when NULL), and why what cannot be mapped cannot. The caller owns it.
 */
bool organisation_objects(struct organisation *organisation, const char *search, json_t **out,
                          struct error *err);

/*
 * An array of {name, label, type, column, column_type, is_required, is_external_id, is_unique,
 * is_createable, is_updateable, is_mappable, reason} with the parents' external ids too.
 */
bool organisation_fields(struct organisation *organisation, const char *object_name, json_t **out,
                         struct error *err);

#endif
