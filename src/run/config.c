#include "run/config.h"

#include <errno.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

enum { VALUE_MAX_BYTES = 64 * 1024 };

extern char **environ;

/* How a text becomes a field of struct config. */
typedef bool (*option_parser)(const char *text, void *field);

struct option {
    const char *name;
    size_t offset;
    option_parser parse; /* NULL: the text itself */
    const char *default_text;
    const char *help;
};

static bool parse_log_level(const char *text, void *field)
{
    static const char *const names[] = {[LOG_DEBUG] = "debug",
                                        [LOG_INFO] = "info",
                                        [LOG_WARNING] = "warning",
                                        [LOG_ERROR] = "error"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *(enum log_level *)field = (enum log_level)i;
        return true;
    }
    return false;
}

static bool parse_log_format(const char *text, void *field)
{
    bool is_json = strcmp(text, "json") == 0;

    if (!is_json && strcmp(text, "text") != 0)
        return false;
    *(enum log_format *)field = is_json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
    return true;
}

/* The server cuts longer names, and pgforce_<schema> must fit a slot's name of 63 bytes. */
static bool parse_schema_name(const char *text, void *field)
{
    size_t length = strlen(text);

    if (length == 0 || length > 40 ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != length)
        return false;
    *(const char **)field = text;
    return true;
}

static bool parse_number(const char *text, long least, long most, void *field)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end != '\0' || number < least || number > most)
        return false;
    *(int *)field = (int)number;
    return true;
}

static bool parse_seconds(const char *text, void *field)
{
    return parse_number(text, 0, 86400, field);
}

static bool parse_seconds_of_month(const char *text, void *field)
{
    return parse_number(text, 0, 31 * 86400, field);
}

static bool parse_days(const char *text, void *field)
{
    return parse_number(text, 1, 3650, field);
}

static bool parse_count(const char *text, void *field)
{
    return parse_number(text, 0, 1000000000, field);
}

static bool parse_bytes(const char *text, void *field)
{
    char *end;
    long long number = strtoll(text, &end, 10);

    if (end == text || *end != '\0' || number < 0 || number > 1LL << 50)
        return false;
    *(int64_t *)field = number;
    return true;
}

static bool parse_parallel(const char *text, void *field)
{
    return parse_number(text, 1, 50, field);
}

static bool parse_bulk_threshold(const char *text, void *field)
{
    return parse_number(text, 0, 10000, field);
}

static bool parse_switch(const char *text, void *field)
{
    bool is_on = strcmp(text, "on") == 0;

    *(bool *)field = is_on;
    return is_on || strcmp(text, "off") == 0;
}

#define FIELD(name) offsetof(struct config, name)

static const struct option options[] = {
    {"PGFORCE_DATABASE_URL", FIELD(database_url), NULL, NULL,
     "PostgreSQL connection string of the role pgforce runs as"},
    {"PGFORCE_SCHEMA", FIELD(schema_name), parse_schema_name, "salesforce",
     "schema of the mapped tables; lower-case letters, digits and _, at most 40"},
    {"PGFORCE_APP_ROLE", FIELD(app_role), NULL, NULL,
     "role of the application; setup grants it the mapped tables"},
    {"PGFORCE_READER_ROLE", FIELD(reader_role), NULL, NULL,
     "another role of the application, that may read and not write"},
    {"PGFORCE_SF_LOGIN_URL", FIELD(salesforce.login_url), NULL, NULL,
     "where to sign in: https://MyDomain.my.salesforce.com"},
    {"PGFORCE_SF_CLIENT_ID", FIELD(salesforce.client_id), NULL, NULL,
     "consumer key of the connected app"},
    {"PGFORCE_SF_CLIENT_SECRET", FIELD(salesforce.client_secret), NULL, NULL,
     "consumer secret; alone with the key: the client-credentials flow"},
    {"PGFORCE_SF_USERNAME", FIELD(salesforce.username), NULL, NULL,
     "user name, for the username-password and JWT flows"},
    {"PGFORCE_SF_PASSWORD", FIELD(salesforce.password), NULL, NULL,
     "password, with the security token appended where the organisation asks for one"},
    {"PGFORCE_SF_REFRESH_TOKEN", FIELD(salesforce.refresh_token), NULL, NULL,
     "refresh token of an authorisation made before"},
    {"PGFORCE_SF_JWT_KEY_FILE", FIELD(salesforce.jwt_key_file), NULL, NULL,
     "file of the private key (PEM) for the JWT flow"},
    {"PGFORCE_SF_ACCESS_TOKEN", FIELD(salesforce.access_token), NULL, NULL,
     "access token, for tries: it expires"},
    {"PGFORCE_SF_INSTANCE_URL", FIELD(salesforce.instance_url), NULL, NULL,
     "the organisation's address, with an access token"},
    {"PGFORCE_SF_API_VERSION", FIELD(api_version), NULL, NULL,
     "API version, such as 60.0; from 45.0 on"},
    {"PGFORCE_SF_INSTANCE_SUFFIXES", FIELD(instance_suffixes), NULL, NULL,
     "further ends of host names that tokens may be sent to, such as .example.com, separated by"
     " commas; Salesforce's own are known"},
    {"PGFORCE_SECRET_KEY", FIELD(secret_key), NULL, NULL,
     "key that seals what `pgforce login` stores, 64 hexadecimal digits; give it as a file that"
     " nobody else can read, the variable itself is for tries"},
    {"PGFORCE_DOUBT_QUARANTINE_S", FIELD(doubt_quarantine_s), parse_seconds, "600",
     "seconds in which a create whose answer was lost, and that has no unique identifier, may still"
     " take effect; 0 to 86400"},
    {"PGFORCE_PUSH_PARALLEL", FIELD(push_parallel), parse_parallel, "8",
     "requests that are on their way to Salesforce at once, for different records; 1 to 50"},
    {"PGFORCE_PUSH_ATOMIC", FIELD(push_is_atomic), parse_switch, "off",
     "on or off: what one transaction changed is written to Salesforce all or none"},
    {"PGFORCE_ALLOW_CAPTURE_OFF", FIELD(allows_capture_off), parse_switch, "off",
     "on or off: what a transaction changes after calling pgforce_capture_off() is neither logged "
     "nor"
     " sent"},
    {"PGFORCE_ARCHIVE_AFTER_S", FIELD(archive_after_s), parse_seconds_of_month, "86400",
     "seconds after which a settled entry moves from _trigger_log to _trigger_log_archive; 0 to"
     " 2678400"},
    {"PGFORCE_ARCHIVE_KEEP_DAYS", FIELD(archive_keep_days), parse_days, "31",
     "days that entries are kept in _trigger_log_archive; 1 to 3650"},
    {"PGFORCE_API_ADDRESS", FIELD(api.address), NULL, NULL,
     "where the HTTP API listens; `pgforce run` serves it when this is set, `pgforce serve` takes"
     " 127.0.0.1:8181 when it is not"},
    {"PGFORCE_API_TOKEN", FIELD(api.token), NULL, NULL,
     "an administrator's token, beside those that `pgforce token` makes"},
    {"PGFORCE_API_URL", FIELD(api.public_url), NULL, NULL,
     "the API's address as its clients reach it, such as https://pgforce.example.com"},
    {"PGFORCE_API_HOSTS", FIELD(api.hosts), NULL, NULL,
     "further Host headers to answer, with their ports, separated by commas"},
    {"PGFORCE_API_CERTIFICATE", FIELD(api.certificate), NULL, NULL,
     "certificate of the API (PEM), its chain behind it; needed on any address but loopback"},
    {"PGFORCE_API_KEY", FIELD(api.key), NULL, NULL, "the certificate's private key (PEM)"},
    {"PGFORCE_API_BEHIND_PROXY", FIELD(api.is_behind_proxy), parse_switch, "off",
     "on or off: a proxy ends TLS before the API, so it may listen anywhere without a certificate"},
    {"PGFORCE_APP_NAME", FIELD(api.app_name), NULL, "pgforce",
     "the name of the application, for which Heroku Connect's clients ask"},
    {"PGFORCE_BULK_READ_ABOVE", FIELD(bulk_read_above), parse_count, "10000",
     "more records than this, of an object at first or changed since the last poll, are read by the"
     " Bulk API; 0 to 1000000000"},
    {"PGFORCE_DRIFT_INTERVAL_S", FIELD(drift_interval_s), parse_seconds_of_month, "86400",
     "seconds between two comparisons of all records with their rows, which repair what differs;"
     " 0: only `pgforce repair`; at most 2678400"},
    {"PGFORCE_CONFIRM_ALL_DELETIONS", FIELD(confirms_all_deletions), parse_switch, "off",
     "on or off: deletions that Salesforce reports wait for `pgforce mapping confirm` too when they"
     " are more than 100 rows and 5 % of a table at once, not only those inferred from absence"},
    {"PGFORCE_BULK_THRESHOLD", FIELD(bulk_threshold), parse_bulk_threshold, "2000",
     "from so many changes of one kind on one object in a row on, they are written by a Bulk API "
     "job;"
     " 0 never, at most 10000"},
    {"PGFORCE_SLOT_WARNING_BYTES", FIELD(limits.slot_warning_bytes), parse_bytes, "1073741824",
     "WAL retained by the slot from which on an operator is warned, in bytes"},
    {"PGFORCE_SLOT_CRITICAL_BYTES", FIELD(limits.slot_critical_bytes), parse_bytes, "10737418240",
     "and from which on it is critical"},
    {"PGFORCE_SLOT_GIVE_UP_BYTES", FIELD(slot_give_up_bytes), parse_bytes, "0",
     "and from which on the slot is dropped, before the server's disk is full: changes are lost to"
     " the log until `pgforce setup --accept-gap`; 0: never"},
    {"PGFORCE_LONG_TRANSACTION_S", FIELD(limits.long_transaction_s), parse_seconds, "3600",
     "seconds after which an open transaction, a lock or a doubt is worth a warning; 0 to 86400"},
    {"PGFORCE_STALLED_S", FIELD(limits.stalled_s), parse_seconds, "300",
     "seconds without progress after which the archive counts as stuck, or reading from the"
     " organisation as broken; 0 to 86400"},
    {"PGFORCE_NOTIFY_URL", FIELD(notify_url), NULL, NULL,
     "webhook that is told of each notification and of its end: a POST of JSON"},
    {"PGFORCE_NOTIFY_COMMAND", FIELD(notify_command), NULL, NULL,
     "command that is told, with the JSON on its standard input; words separated by blanks, no"
     " shell"},
    {"PGFORCE_STATE_DIRECTORY", FIELD(state_directory), NULL, NULL,
     "folder in which push keeps how often it has sent: a database that knows of less is an older"
     " copy, and nothing is sent until `pgforce recover`"},
    {"PGFORCE_ALLOW_DEBUGGER", FIELD(allows_debugger), parse_switch, "off",
     "on or off: a debugger of the same user may be attached, and a crash may write a core file,"
     " with the secrets that are in memory"},
    {"PGFORCE_LOG_LEVEL", FIELD(log_level), parse_log_level, "info",
     "debug, info, warning or error"},
    {"PGFORCE_LOG_FORMAT", FIELD(log_format), parse_log_format, "text", "text or json"},
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

/* Set by the supervisor for its children; no option. */
static const char *const internal_names[] = {"PGFORCE_PARENT_FD", "PGFORCE_SERVICE_FD"};

static bool is_known_name(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t known = strlen(options[i].name);
        bool is_prefix = length >= known && strncmp(name, options[i].name, known) == 0;

        if (is_prefix && (length == known || strncmp(name + known, "_FILE=", 6) == 0))
            return true;
    }
    for (size_t i = 0; i < sizeof(internal_names) / sizeof(internal_names[0]); i++)
        if (strlen(internal_names[i]) == length && strncmp(name, internal_names[i], length) == 0)
            return true;
    return false;
}

static bool refuse_unknown_names(struct error *err)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        size_t length = strcspn(*variable, "=");

        if (strncmp(*variable, "PGFORCE_", 8) == 0 && !is_known_name(*variable, length))
            return error_set(err, ERROR_CONFIG,
                             "unknown variable %.*s (`pgforce --help` lists those there are)",
                             (int)length, *variable);
    }
    return true;
}

/* As PostgreSQL judges the keys of its certificates: ours and nobody else's, or root's and readable
 * by a group. */
static bool is_private(FILE *file)
{
    struct stat status;

    if (fstat(fileno(file), &status) != 0)
        return false;
    if (status.st_uid == 0 && geteuid() != 0)
        return (status.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
    return status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* What was read lives as long as the process, and stays within reach of a leak's finder. */
static struct arena *kept_texts(void)
{
    static struct arena *texts;

    if (texts == NULL)
        texts = arena_new();
    return texts;
}

/* The whole file but for one line break at its end. */
static bool read_value_file(const char *name, const char *path, bool must_be_private,
                            const char **text, struct error *err)
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return error_set(err, error_kind_of(errno), "cannot read %s, named by %s_FILE: %s", path,
                         name, strerror(errno));
    if (must_be_private && !is_private(file)) {
        fclose(file);
        return error_set(err, ERROR_CONFIG,
                         "%s, named by %s_FILE, can be read by others: make it your own (chown) and"
                         " chmod 600 it",
                         path, name);
    }
    char *value = arena_alloc(kept_texts(), VALUE_MAX_BYTES + 1);
    size_t length = fread(value, 1, VALUE_MAX_BYTES, file);
    fclose(file);
    if (length > 0 && value[length - 1] == '\n')
        length--;
    value[length] = '\0';
    *text = value;
    return true;
}

/* Whose file keeps its path; whose file must be nobody else's. */
static bool is_path(const struct option *option)
{
    return strcmp(option->name, "PGFORCE_SF_JWT_KEY_FILE") == 0;
}

static bool is_key(const struct option *option)
{
    return strcmp(option->name, "PGFORCE_SECRET_KEY") == 0;
}

/* What systemd has loaded for the unit; it sees to who may read it. */
static bool find_credential(const struct option *option, const char **text, struct error *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    if (folder == NULL)
        return true;
    const char *path = arena_printf(kept_texts(), "%s/%s", folder, option->name);
    if (access(path, F_OK) != 0)
        return true;
    if (!is_path(option))
        return read_value_file(option->name, path, false, text, err);
    *text = path;
    return true;
}

static bool find_text(const struct option *option, const char **text, struct error *err)
{
    struct buf file_name BUF_AUTO = {0};

    buf_init(&file_name, 256);
    buf_printf(&file_name, "%s_FILE", option->name);
    const char *path = getenv(file_name.data);
    *text = getenv(option->name);
    if (*text != NULL && **text == '\0')
        *text = NULL;
    if (*text != NULL && path != NULL)
        return error_set(err, ERROR_CONFIG, "both %s and %s_FILE are given: drop one", option->name,
                         option->name);
    if (path != NULL && !is_path(option))
        return read_value_file(option->name, path, is_key(option), text, err);
    if (*text == NULL && !find_credential(option, text, err))
        return false;
    if (*text == NULL)
        *text = option->default_text;
    return true;
}

bool config_load(struct config *config, struct error *err)
{
    *config = (struct config){0};
    if (!refuse_unknown_names(err))
        return false;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        void *field = (char *)config + option->offset;
        const char *text;

        if (!find_text(option, &text, err))
            return false;
        if (option->parse == NULL)
            *(const char **)field = text;
        else if (!option->parse(text, field))
            return error_set(err, ERROR_CONFIG, "%s is \"%s\"; it should be: %s", option->name,
                             text, option->help);
    }
    return true;
}

bool config_require_database(const struct config *config, struct error *err)
{
    if (config->database_url != NULL)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "PGFORCE_DATABASE_URL is not set: give it a connection string such as"
                     " postgresql://pgforce@localhost/app");
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        fprintf(out, "  %-26s %s", options[i].name, options[i].help);
        if (options[i].default_text != NULL)
            fprintf(out, " (default %s)", options[i].default_text);
        fputc('\n', out);
    }
}

void config_print_markdown(FILE *out)
{
    fputs("| variable | default | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        fprintf(out, "| `%s` | %s | %s |\n", options[i].name,
                options[i].default_text != NULL ? options[i].default_text : "", options[i].help);
}

void config_each(void (*what)(void *context, const char *name, const char *default_text,
                              const char *help),
                 void *context)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        what(context, options[i].name, options[i].default_text, options[i].help);
}

/* ---- showing what is in force ---- */

static const char *const secret_names[] = {"PGFORCE_SF_CLIENT_SECRET", "PGFORCE_SF_PASSWORD",
                                           "PGFORCE_SF_REFRESH_TOKEN", "PGFORCE_SF_ACCESS_TOKEN",
                                           "PGFORCE_SECRET_KEY",       "PGFORCE_API_TOKEN",
                                           "PGFORCE_API_KEY",          "PGFORCE_NOTIFY_URL"};

static bool is_secret(const char *name)
{
    for (size_t i = 0; i < sizeof(secret_names) / sizeof(secret_names[0]); i++)
        if (strcmp(secret_names[i], name) == 0)
            return true;
    return false;
}

/* Its parts, but for the password and what else libpq would not show. */
static bool append_connection(const char *url, struct buf *out, struct error *err)
{
    char *problem = NULL;
    PQconninfoOption *parts = PQconninfoParse(url, &problem);

    if (parts == NULL) {
        /* Of its own words only these are told on: the others may have the password. */
        if (problem == NULL || strstr(problem, "out of memory") != NULL)
            memory_or_die(NULL, strlen(url));
        PQfreemem(problem);
        return error_set(err, ERROR_CONFIG, "PGFORCE_DATABASE_URL is no connection string");
    }
    for (const PQconninfoOption *part = parts; part->keyword != NULL; part++) {
        bool is_hidden = part->dispchar[0] == '*' || strstr(part->keyword, "pass") != NULL;

        if (part->val != NULL)
            buf_printf(out, "%s%s=%s", out->size_bytes > 0 ? " " : "", part->keyword,
                       is_hidden ? "(set)" : part->val);
    }
    PQconninfoFree(parts);
    return true;
}

static bool append_shown(const struct option *option, const char *text, struct buf *out,
                         struct error *err)
{
    if (strcmp(option->name, "PGFORCE_DATABASE_URL") == 0)
        return append_connection(text, out, err);
    buf_text(out, is_secret(option->name) ? "(set)" : text);
    return true;
}

bool config_print_checked(FILE *out, bool is_json, struct error *err)
{
    struct config config;
    json_t *shown = json_object();
    bool is_ok = config_load(&config, err);

    for (size_t i = 0; is_ok && i < OPTION_COUNT; i++) {
        struct buf value BUF_AUTO = {0};
        const char *text = NULL;

        buf_init(&value, 2 * VALUE_MAX_BYTES);
        is_ok = find_text(&options[i], &text, err) &&
                (text == NULL || append_shown(&options[i], text, &value, err));
        if (is_ok && text != NULL && is_json)
            json_object_set_new(shown, options[i].name, json_string(value.data));
        else if (is_ok && text != NULL)
            fprintf(out, "%s=%s\n", options[i].name, value.data);
    }
    if (is_ok && is_json) {
        json_dumpf(shown, out, JSON_INDENT(4));
        putc('\n', out);
    }
    json_decref(shown);
    return is_ok;
}
