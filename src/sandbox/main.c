/* pgforce-sandbox: a Salesforce organisation on loopback. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/libraries.h"
#include "base/log.h"
#include "base/wait.h"
#include "net/http_server.h"
#include "sandbox/object_add.h"
#include "sandbox/org.h"
#include "sandbox/seed.h"
#include "sandbox/server.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 64 };

struct settings {
    struct org_options org;
    enum log_level log_level;
    bool wants_help;
};

enum option_key {
    OPTION_LISTEN = 'l',
    OPTION_DATA = 'd',
    OPTION_OBJECTS = 'o',
    OPTION_CLIENT_ID = 'i',
    OPTION_CLIENT_SECRET = 's',
    OPTION_USERNAME = 'u',
    OPTION_PASSWORD = 'p',
    OPTION_ACCESS_TOKEN = 'a',
    OPTION_REFRESH_TOKEN = 'r',
    OPTION_PORT_FILE = 'f',
    OPTION_JWT_CERT = 'j',
    OPTION_ROTATE = 'R',
    OPTION_SEED = 'n',
    OPTION_CURRENCIES = 'c',
    OPTION_COUNTS = 'A', /* and what follows it: a letter per kind of org_seed */
    OPTION_LOG_LEVEL = OPTION_COUNTS + ORG_SEED_KINDS,
    OPTION_HELP = 'h',
};

/* The options and what --help says of them. */
static const struct option_row {
    const char *name;
    const char *argument;
    const char *help;
    enum option_key key;
} option_rows[] = {
    {"listen", "ADDRESS:PORT", "loopback address; port 0: any free one (127.0.0.1:8089)",
     OPTION_LISTEN},
    {"data", "FILE", "keep the data in this file (default: in memory)", OPTION_DATA},
    {"objects", "FILE", "add or extend objects; may be repeated", OPTION_OBJECTS},
    {"client-id", "TEXT", "the connected app's consumer key (sandbox-client)", OPTION_CLIENT_ID},
    {"client-secret", "TEXT", "its consumer secret (sandbox-secret)", OPTION_CLIENT_SECRET},
    {"username", "TEXT", "the user (admin@sandbox.example)", OPTION_USERNAME},
    {"password", "TEXT", "the user's password (sandbox-password)", OPTION_PASSWORD},
    {"access-token", "TEXT", "a session that never expires (default: none)", OPTION_ACCESS_TOKEN},
    {"refresh-token", "TEXT", "a valid refresh token (sandbox-refresh)", OPTION_REFRESH_TOKEN},
    {"rotate-refresh-tokens", NULL, "a refresh token is good once: each use gives a new one",
     OPTION_ROTATE},
    {"port-file", "FILE", "write the port here once listening", OPTION_PORT_FILE},
    {"jwt-cert", "FILE", "check JWT signatures with this certificate (PEM)", OPTION_JWT_CERT},
    {"currencies", "LIST", "several currencies, the corporate one first: USD,EUR=0.92 (one)",
     OPTION_CURRENCIES},
    {"seed", "N", "what the records of a new organisation are made from (1)", OPTION_SEED},
    {"accounts", "N", "make so many accounts in a new organisation (0)", OPTION_COUNTS},
    {"contacts", "N", "and contacts (two for an account)", OPTION_COUNTS + 1},
    {"opportunities", "N", "and opportunities (one for two accounts)", OPTION_COUNTS + 2},
    {"leads", "N", "and leads (one for two accounts)", OPTION_COUNTS + 3},
    {"cases", "N", "and cases (one for four accounts)", OPTION_COUNTS + 4},
    {"log-level", "LEVEL", "debug, info, warning or error (info)", OPTION_LOG_LEVEL},
    {"help", NULL, "show this", OPTION_HELP},
};

enum { OPTION_COUNT = sizeof(option_rows) / sizeof(option_rows[0]) };

static void print_help(FILE *out)
{
    fprintf(out, "Usage: pgforce-sandbox [OPTION]...\n"
                 "       pgforce-sandbox object add NAME [OPTION]... (see its --help)\n"
                 "A Salesforce organisation on loopback, for demos and tests.\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];

        fprintf(out, "  --%-14s %-13s %s\n", row->name, row->argument != NULL ? row->argument : "",
                row->help);
    }
}

static bool parse_log_level(const char *text, enum log_level *level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], text) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    fprintf(stderr, "pgforce-sandbox: no log level \"%s\": use debug, info, warning or error\n",
            text);
    return false;
}

static bool add_object_file(struct org_options *org, const char *path)
{
    if (org->object_file_count == ORG_MAX_OBJECT_FILES) {
        fprintf(stderr, "pgforce-sandbox: at most %d --objects\n", ORG_MAX_OBJECT_FILES);
        return false;
    }
    org->object_files[org->object_file_count++] = path;
    return true;
}

static bool read_number(const char *text, int64_t max, int64_t *number)
{
    char *end = NULL;

    errno = 0;
    *number = strtoll(text, &end, 10);
    if (errno == 0 && isdigit((unsigned char)*text) && *end == '\0' && *number <= max)
        return true;
    fprintf(stderr, "pgforce-sandbox: \"%s\" is not a number from 0 to %lld\n", text,
            (long long)max);
    return false;
}

static bool set_option(struct settings *settings, int key, const char *text)
{
    struct org_options *org = &settings->org;

    switch (key) {
    case OPTION_LISTEN: org->listen = text; return true;
    case OPTION_DATA: org->data = text; return true;
    case OPTION_OBJECTS: return add_object_file(org, text);
    case OPTION_CLIENT_ID: org->client_id = text; return true;
    case OPTION_CLIENT_SECRET: org->client_secret = text; return true;
    case OPTION_USERNAME: org->username = text; return true;
    case OPTION_PASSWORD: org->password = text; return true;
    case OPTION_ACCESS_TOKEN: org->access_token = text; return true;
    case OPTION_REFRESH_TOKEN: org->refresh_token = text; return true;
    case OPTION_PORT_FILE: org->port_file = text; return true;
    case OPTION_ROTATE: org->rotates_refresh_tokens = true; return true;
    case OPTION_JWT_CERT: org->jwt_certificate = text; return true;
    case OPTION_CURRENCIES: org->currencies = text; return true;
    case OPTION_SEED: return read_number(text, INT64_MAX, &org->seed.number);
    case OPTION_LOG_LEVEL: return parse_log_level(text, &settings->log_level);
    case OPTION_HELP: settings->wants_help = true; return true;
    default: break;
    }
    if (key < OPTION_COUNTS || key >= OPTION_COUNTS + ORG_SEED_KINDS)
        return false;
    return read_number(text, SEED_MAX_ROWS, &org->seed.counts[key - OPTION_COUNTS]);
}

static bool parse_options(int argc, char **argv, struct settings *settings)
{
    struct option options[OPTION_COUNT + 1] = {0};
    int key;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        options[i] = (struct option){
            .name = option_rows[i].name,
            .has_arg = option_rows[i].argument != NULL ? required_argument : no_argument,
            .val = (int)option_rows[i].key,
        };
    while ((key = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!set_option(settings, key, optarg))
            return false;
    if (optind < argc) {
        fprintf(stderr, "pgforce-sandbox: unexpected argument \"%s\"\n", argv[optind]);
        return false;
    }
    return true;
}

/* Written under another name and renamed: whoever sees the file sees all of it. */
static bool write_port_file(const char *path, int port, struct error *err)
{
    char temporary[4096];

    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return error_set(err, ERROR_CONFIG, "the path of the port file is too long");
    FILE *file = fopen(temporary, "w");
    bool is_written = file != NULL && fprintf(file, "%d\n", port) > 0;
    if (file != NULL && fclose(file) != 0)
        is_written = false;
    if (!is_written || rename(temporary, path) != 0)
        return error_set(err, ERROR_CONFIG, "cannot write the port file %s: %m", path);
    return true;
}

static bool announce(struct org *org, int port, struct error *err)
{
    const char *listen = org->options.listen;
    int host_bytes = (int)(strrchr(listen, ':') - listen);

    if (asprintf(&org->base_url, "http://%.*s:%d", host_bytes, listen, port) < 0)
        abort();
    if (org->options.port_file != NULL && !write_port_file(org->options.port_file, port, err))
        return false;
    printf("pgforce-sandbox: listening on %s, %zu objects\n", org->base_url,
           schema_count(org->schema));
    fflush(stdout);
    return true;
}

static bool serve(struct org *org, struct error *err)
{
    struct http_server_options options = {
        .address = org->options.listen,
        .is_loopback_only = true,
        .max_body_bytes = SERVER_MAX_BODY_BYTES,
        .max_answer_bytes = SERVER_MAX_ANSWER_BYTES,
        .handle = server_handle,
        .work = server_work,
        .context = org,
    };
    struct http_server *server = NULL;

    if (!http_server_open(&options, &server, err))
        return false;
    bool is_done = announce(org, http_server_port(server), err) && http_server_run(server, err);
    http_server_close(server);
    return is_done;
}

static int run(const struct org_options *options)
{
    struct org *org = NULL;
    struct error err = {0};
    bool is_done = wait_init(&err) && org_open(options, &org, &err) && serve(org, &err);

    org_close(org);
    if (!is_done)
        log_error("stopped", log_text("error", err.message));
    return is_done ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .org = {.listen = "127.0.0.1:8089",
                .client_id = "sandbox-client",
                .client_secret = "sandbox-secret",
                .username = "admin@sandbox.example",
                .password = "sandbox-password",
                .refresh_token = "sandbox-refresh",
                .seed = {.number = 1, .counts = {-1, -1, -1, -1, -1}}},
        .log_level = LOG_INFO,
    };

    libraries_init();
    if (argc > 2 && strcmp(argv[1], "object") == 0 && strcmp(argv[2], "add") == 0)
        return object_add_main(argc - 2, argv + 2);
    if (!parse_options(argc, argv, &settings)) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (settings.wants_help) {
        print_help(stdout);
        return EXIT_OK;
    }
    log_init("sandbox", settings.log_level, LOG_FORMAT_TEXT);
    return run(&settings.org);
}
