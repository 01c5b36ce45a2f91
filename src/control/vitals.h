/*
 * How the connection is doing, in figures: what /status and `pgforce status --json` print, /metrics
 * is made of and readiness is judged by.
 *
 * All of it is read from the database in two cheap statements; nothing is kept between calls.
 */
#ifndef PGFORCE_CONTROL_VITALS_H
#define PGFORCE_CONTROL_VITALS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "control/checks.h"
#include "pg/pg.h"

/* An object, owned by the caller. Its member is_ready says whether changes go through, reasons why
 * not. ERROR_CONFIG before the setup. */
bool vitals_read(struct pg *pg, const char *schema_name, const struct checks_limits *limits,
                 json_t **out, struct error *err);

/* In Prometheus' text format. */
void vitals_metrics(const json_t *vitals, struct buf *out);

/* What is known when the database cannot be reached. */
void vitals_metrics_down(struct buf *out);

#endif
