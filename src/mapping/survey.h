/*
 * What has become of a mapping's fields in the organisation: gone, of another type, or new.
 *
 * A field that is gone, or that the integration user may no longer see, is marked: it is neither
 * read nor written, its column keeps its last values, and the others go on. When it is back its
 * column is filled anew. What is new or has changed is noted for the operator and changes nothing.
 */
#ifndef PGFORCE_MAPPING_SURVEY_H
#define PGFORCE_MAPPING_SURVEY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"
#include "sf/session.h"

/* Asks for the object's description and stores what it says of the mapping, in a transaction of its
 * own. *has_changed: other fields are missing than before, load the mappings anew. An object that
 * is gone as a whole changes nothing here. */
bool survey_take(struct pg *pg, struct sf_session *session, const struct mapping *mapping,
                 bool *has_changed, struct error *err);

/* For who reads the organisation: takes the missing fields out of the loaded mappings, and says so
 * in their note. */
bool survey_leave_out(struct mapping_list *list, struct arena *arena, struct error *err);

#endif
