/*
 * `pgforce setup`: makes a database ready, and says what only a superuser can do.
 *
 * It may be run again at any time; what is there already is left alone.
 */
#ifndef PGFORCE_RUN_SETUP_H
#define PGFORCE_RUN_SETUP_H

#include <stdio.h>

#include "pg/pg.h"
#include "run/config.h"

struct setup_options {
    bool accepts_gap; /* make a new slot; what is not in the log by now is given up */
};

bool setup_run(const struct config *config, const struct setup_options *options, struct error *err);

/* Its parts, for taking a schema over: what comes before its tables, the tables (inside the
 * caller's transaction), and the origins and the slot. */
bool setup_reserve(struct pg *pg, const struct config *config, struct error *err);
bool setup_install(struct pg *pg, const struct config *config, struct error *err);
bool setup_stream(struct pg *pg, const struct config *config, const struct setup_options *options,
                  struct error *err);

/* The statements that need a superuser, for the role and database of PGFORCE_DATABASE_URL. Needs no
 * connection. */
bool setup_print_superuser_sql(const struct config *config, FILE *out, struct error *err);

/* The same, and as comments what setup grants by itself. */
bool setup_print_sql(const struct config *config, FILE *out, struct error *err);

/* "pgforce_<schema>": the slot, and the name we connect by. */
struct setup_name {
    char text[64];
};
struct setup_name setup_slot_name(const char *schema_name);

#endif
