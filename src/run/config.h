/*
 * The configuration: environment variables, one row each in a table from which --help is printed.
 *
 * A variable NAME may be given as NAME_FILE instead, the path of a file that holds the value: that
 * is how secrets come from container secrets. What neither gives may be a file NAME in
 * $CREDENTIALS_DIRECTORY: systemd's LoadCredential=NAME:PATH. A variable that begins with
 * PGFORCE_ and is not in the table is refused, because a misspelt option is worse than none.
 */
#ifndef PGFORCE_RUN_CONFIG_H
#define PGFORCE_RUN_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "control/checks.h"
#include "control/serve.h"
#include "sf/session.h"

struct config {
    const char *database_url;
    const char *schema_name;
    const char *reader_role; /* may only read; NULL likewise */
    const char *app_role;    /* NULL when no role is to be granted anything */
    enum log_level log_level;
    enum log_format log_format;
    const char *api_version; /* NULL for the default */
    struct sf_credentials salesforce;
    const char *instance_suffixes; /* NULL for none but Salesforce's own */
    const char *secret_key;        /* NULL: nothing can be sealed */
    int doubt_quarantine_s;
    struct serve_options api; /* its database and schema are filled in by the role */
    int bulk_read_above;
    bool confirms_all_deletions;
    int push_parallel;
    bool push_is_atomic;
    bool allows_capture_off;
    int bulk_threshold;
    int archive_after_s;
    int archive_keep_days;
    int drift_interval_s;
    struct checks_limits limits;
    int64_t slot_give_up_bytes; /* 0: never */
    const char *notify_url;     /* NULL: nobody is told */
    const char *notify_command;
    const char *state_directory; /* NULL: nothing is kept outside of the database */
    bool allows_debugger;
};

/* Reads the environment. The texts live as long as the process. ERROR_CONFIG names the variable. */
bool config_load(struct config *config, struct error *err);

/* For commands that talk to the database, or to Salesforce: what is missing is ERROR_CONFIG. */
bool config_require_database(const struct config *config, struct error *err);

/* Calls what with each row of the table; default_text may be NULL. */
void config_each(void (*what)(void *context, const char *name, const char *default_text,
                              const char *help),
                 void *context);

/* Checks, and prints what is in force, a secret only as that it is set: one NAME=VALUE per line, or
 * one JSON object. */
bool config_print_checked(FILE *out, bool is_json, struct error *err);

/* The table, as `pgforce --help` shows it; or as a Markdown table for docs/configuration.md. */
void config_print_help(FILE *out);
void config_print_markdown(FILE *out);

#endif
