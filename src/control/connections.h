/*
 * Connections, as Heroku Connect's API has them: a daemon has one, so every list has one or none.
 *
 * Discovery (`/connections`, `/auth/APP`) and the API proper (`/api/v3/...`) answer on the same
 * port with the same token. An application is asked for by its name or by its UUID; one that is not
 * ours is no error but an empty list, because Heroku Connect's clients then link the account and
 * ask again.
 *
 * Sources: Heroku Dev Center, "Heroku Connect API"; heroku/heroku-connect-plugin 0.13.3.
 */
#ifndef PGFORCE_CONTROL_CONNECTIONS_H
#define PGFORCE_CONTROL_CONNECTIONS_H

#include "control/request.h"

void connections_discover(struct request *request); /* GET /connections */
void connections_link(struct request *request);     /* POST /auth/{app} */
void connections_list(struct request *request);     /* GET /api/v3/connections */
void connections_show(struct request *request);     /* GET /api/v3/connections/{id} */
void connections_edit(struct request *request);     /* PATCH /api/v3/connections/{id} */
void connections_app(struct request *request);      /* GET /api/v3/apps/{app} */
void connections_tokens(struct request *request);   /* GET C/tokens: names and roles */

/* Whether the id in the route is our connection's; false after answering 404 or 503. */
bool connections_is_ours(struct request *request);

/* "https://.../api/v3/connections/ID" with what comes behind. */
const char *connections_url(struct request *request, const char *behind);

#endif
