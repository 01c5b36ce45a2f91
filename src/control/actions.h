/*
 * What can be asked of a connection as a whole, as Heroku Connect's API has it.
 *
 * Sources: Heroku Dev Center, "Heroku Connect API"; heroku/heroku-connect-plugin 0.13.3;
 * davidji99/terraform-provider-herokux (an import must be answered without a body, an export must
 * repeat what was imported).
 */
#ifndef PGFORCE_CONTROL_ACTIONS_H
#define PGFORCE_CONTROL_ACTIONS_H

#include "control/request.h"

void actions_pause(struct request *request);
void actions_resume(struct request *request);
void actions_restart(struct request *request);
void actions_export(struct request *request);
void actions_import(struct request *request);
void actions_plan(struct request *request);
void actions_schema(struct request *request); /* GET C/schemas/{object}: what can be mapped of it */
void actions_objects(struct request *request); /* GET C/schemas: the objects */

/* Another version of Salesforce's API: what it would change, and the change. */
void actions_schema_diff(struct request *request);
void actions_change_version(struct request *request);

/* POST C/actions/retry and C/actions/ignore: what becomes of entries that Salesforce refused. */
void actions_retry(struct request *request);
void actions_ignore(struct request *request);

#endif
