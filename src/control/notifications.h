/*
 * Notifications, as Heroku Connect's API has them.
 */
#ifndef PGFORCE_CONTROL_NOTIFICATIONS_H
#define PGFORCE_CONTROL_NOTIFICATIONS_H

#include "control/request.h"

/* GET C/notifications?page_size=&after=&before=&event_type= */
void notifications_list(struct request *request);

/* POST C/notifications/acknowledge, by the same filters. */
void notifications_acknowledge(struct request *request);

#endif
