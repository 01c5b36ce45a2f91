/*
 * What went through in the last hour, minute by minute, and how many of the organisation's API
 * requests are used: what the dashboard shows beside vitals.h.
 *
 * Of very busy hours only the newest entries are counted.
 */
#ifndef PGFORCE_CONTROL_STATISTICS_H
#define PGFORCE_CONTROL_STATISTICS_H

#include "control/request.h"

void statistics_show(struct request *request); /* GET C/statistics */

#endif
