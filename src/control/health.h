/*
 * Probes: whether the process answers, and whether changes go through.
 *
 * Ready means progress, not processes: the database answers, the slot is there, read and near, and
 * nothing is parked. Reasons are told to who has a token; anybody learns yes or no.
 */
#ifndef PGFORCE_CONTROL_HEALTH_H
#define PGFORCE_CONTROL_HEALTH_H

#include "control/request.h"

void health_live(struct request *request);
void health_ready(struct request *request);

void health_status(struct request *request);  /* GET /status: vitals.h, as JSON */
void health_metrics(struct request *request); /* GET /metrics: the same for Prometheus */

#endif
