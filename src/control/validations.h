/*
 * Heroku Connect's validations: what `pgforce doctor --json` finds, asked for by HTTP.
 *
 * A connection's is started and its result fetched later, at a URL of its own; the last few results
 * are kept in memory and forgotten with the process. A mapping's is answered at once.
 */
#ifndef PGFORCE_CONTROL_VALIDATIONS_H
#define PGFORCE_CONTROL_VALIDATIONS_H

#include "control/request.h"

struct validations *validations_new(void);
void validations_free(struct validations *validations);

void validations_start(struct request *request);   /* POST C/validations */
void validations_report(struct request *request);  /* GET C/validations */
void validations_result(struct request *request);  /* GET C/validations/ID */
void validations_mapping(struct request *request); /* GET M/validations */

#endif
