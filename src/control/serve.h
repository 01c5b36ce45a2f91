/*
 * The role `serve`: the HTTP API, the dashboard, health and metrics, on one port.
 *
 * One process, one connection to the database, requests one at a time. Nothing here talks to
 * Salesforce: what must is a command of pgforce, run as a child (control/child.h), so that an
 * organisation that is slow to answer never makes a probe fail.
 */
#ifndef PGFORCE_CONTROL_SERVE_H
#define PGFORCE_CONTROL_SERVE_H

#include <stdbool.h>

#include "base/error.h"

struct checks_limits;

struct serve_options {
    const char *database_url;
    const char *schema_name;
    const char *address;     /* "127.0.0.1:8081" */
    const char *public_url;  /* as clients reach us; NULL: by the Host header */
    const char *hosts;       /* more Host headers to answer, separated by commas; may be NULL */
    const char *app_name;    /* Heroku Connect's clients ask for an application by name */
    const char *token;       /* an administrator's, beside those in the database; may be NULL */
    const char *certificate; /* PEM texts; both or none */
    const char *key;
    const struct checks_limits *limits;
    bool is_behind_proxy; /* TLS ends before us: any address without a certificate is allowed */
};

struct guard;
struct child_pool;
struct validations;
struct pg;

/* What handlers share. */
struct serve {
    const struct serve_options *options;
    struct guard *guard;
    struct child_pool *children;
    struct validations *validations;
    struct pg *pg; /* NULL while there is no connection */
    int port;
    int tail_count; /* streams that are being read */
    bool is_tls;
};

/* The database, connected anew where the connection broke; NULL when it cannot be reached. */
struct pg *serve_pg(struct serve *serve, struct error *err);

/* Serves until the process is told to stop. ERROR_CONFIG for an address, a certificate or a token
 * that will not do. */
bool serve_run(const struct serve_options *options, struct error *err);

#endif
