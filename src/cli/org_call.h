/*
 * What a command that changes or chooses mappings works with: the database, the organisation, and
 * memory for one call. And what such commands print alike.
 */
#ifndef PGFORCE_CLI_ORG_CALL_H
#define PGFORCE_CLI_ORG_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/arguments.h"
#include "mapping/configure.h"
#include "run/config.h"

struct org_call {
    const struct config *config;
    struct arguments_read read;
    struct pg *pg;
    struct sf_session *session;
    struct arena *arena;
    bool is_adopting; /* the schema is not set up yet */
};

/* A file as JSON, which the caller owns; "-" is standard input. */
bool org_call_load_file(const char *path, json_t **root, struct error *err);

/* Puts the file's name before what is wrong with it; standard input has none. Answers false. */
bool org_call_blame(const char *path, struct error *err);

/* Opens both, calls work, closes both. */
bool org_call_run(struct org_call *call, bool (*work)(struct org_call *call, struct error *err),
                  struct error *err);

struct configure_target org_call_target(const struct org_call *call);

/* Does it, after binding the schema to the organisation, and says to standard error what is wrong
 * or to be known. */
bool org_call_apply(struct org_call *call, json_t *root, const struct configure_options *options,
                    struct configure_report *report, struct error *err);

/* An array of objects named by the result's columns; numbers as numbers. The caller owns it. */
json_t *org_call_rows_json(const PGresult *result);

/* To standard output. */
void org_call_print_json(const json_t *json);
json_t *org_call_report_json(const struct configure_report *report);
void org_call_print_steps(const struct configure_report *report);

void org_call_decref(json_t **json);
#define ORG_CALL_JSON_AUTO __attribute__((cleanup(org_call_decref)))

#endif
