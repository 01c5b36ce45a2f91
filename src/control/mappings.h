/*
 * Mappings, as Heroku Connect's API has them: what src/mapping reports, in the API's shape, and
 * what src/mapping does, asked for by HTTP.
 *
 * Sources: Heroku Dev Center, "Heroku Connect API"; heroku/heroku-connect-plugin 0.13.3.
 */
#ifndef PGFORCE_CONTROL_MAPPINGS_H
#define PGFORCE_CONTROL_MAPPINGS_H

#include "control/request.h"

/* All of them, to be owned by the caller; NULL after answering. */
json_t *mappings_load_all(struct request *request);

/* The object's name of the mapping in the route, in the request's arena; NULL after answering. */
const char *mappings_find_object(struct request *request);

void mappings_list(struct request *request);   /* GET C/mappings */
void mappings_create(struct request *request); /* POST C/mappings {object_name, config} */
void mappings_show(struct request *request);   /* GET M */
void mappings_edit(struct request *request);   /* PATCH M {config} */
void mappings_delete(struct request *request); /* DELETE M[?keep_table=true] */
void mappings_reload(struct request *request); /* POST M/actions/reload[{"destructive": true}] */
void mappings_abort(struct request *request);  /* POST M/actions/abort */
void mappings_count(struct request *request);  /* POST M/actions/count */
void mappings_errors(struct request *request); /* GET M/errors */

/* GET C/errors: of all mappings. */
void mappings_all_errors(struct request *request);

#endif
