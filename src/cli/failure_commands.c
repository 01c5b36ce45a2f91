#include "cli/failure_commands.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/conflicts.h"
#include "archive/failures.h"
#include "base/arena.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

enum { LISTED_MAX = 1000 };

/* What the command line chooses. */
struct request {
    int64_t log_id;
    const char *mapping_name; /* the object or the table */
    bool is_all;
    bool wants_json;
};

struct session {
    struct pg *pg;
    struct arena *arena;
    const char *schema_name;
    struct failures_choice choice;
};

static bool read_id(const char *text, int64_t *id, struct error *err)
{
    char *end;

    *id = strtoll(text, &end, 10);
    return (*text != '\0' && *end == '\0' && *id > 0 && *id <= INT32_MAX) ||
           error_set(err, ERROR_USAGE, "--id wants the number of an entry, not \"%s\"", text);
}

/* --id and --mapping take the next argument; errors names its mapping without an option. */
static bool read_argument(struct request *request, char **arguments, int left, int *used,
                          struct error *err)
{
    const char *name = arguments[0];
    bool is_last = left < 2;

    *used = 1;
    if (strcmp(name, "--json") == 0)
        return request->wants_json = true;
    if (strcmp(name, "--all-failed") == 0)
        return request->is_all = true;
    if (strcmp(name, "--id") != 0 && strcmp(name, "--mapping") != 0)
        return error_set(err, ERROR_USAGE,
                         "unknown argument %s (there are --id N, --mapping NAME, --all-failed,"
                         " --json)",
                         name);
    if (is_last)
        return error_set(err, ERROR_USAGE, "%s wants a value", name);
    *used = 2;
    if (strcmp(name, "--id") == 0)
        return read_id(arguments[1], &request->log_id, err);
    request->mapping_name = arguments[1];
    return true;
}

/* Exactly one of the three says what is meant: nothing is done to all by leaving a word out. */
static bool read_request(int count, char **arguments, struct request *request, struct error *err)
{
    for (int i = 0, used; i < count; i += used)
        if (!read_argument(request, arguments + i, count - i, &used, err))
            return false;
    int chosen = (request->log_id != 0) + (request->mapping_name != NULL) + request->is_all;
    return chosen == 1 ||
           error_set(err, ERROR_USAGE, "say which: one of --id N, --mapping NAME, --all-failed");
}

static bool read_list_request(int count, char **arguments, struct request *request,
                              struct error *err)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0)
            request->wants_json = true;
        else if (strncmp(arguments[i], "--", 2) == 0)
            return error_set(err, ERROR_USAGE, "unknown option %s (there is --json)", arguments[i]);
        else if (request->mapping_name != NULL)
            return error_set(err, ERROR_USAGE,
                             "one mapping is wanted, or none for all, not \"%.40s\"", arguments[i]);
        else
            request->mapping_name = arguments[i];
    }
    return true;
}

static bool choose(struct session *session, const struct request *request, struct error *err)
{
    struct mapping_list list;

    session->choice.log_id = request->log_id;
    if (request->mapping_name == NULL)
        return true;
    if (!mapping_load_all(session->pg, session->schema_name, session->arena, &list, err))
        return false;
    const struct mapping *mapping = mapping_find_by_object(&list, request->mapping_name);
    if (mapping == NULL)
        mapping = mapping_find_by_table(&list, request->mapping_name);
    if (mapping == NULL)
        return mapping_refuse_unknown(session->schema_name, request->mapping_name, err);
    session->choice.table_name = mapping->table_name;
    return true;
}

static bool open_session(struct session *session, const struct config *config,
                         const struct request *request, struct error *err)
{
    session->schema_name = config->schema_name;
    session->arena = arena_new();
    session->pg = pg_open(config->database_url, "pgforce errors", err);
    return session->pg != NULL && choose(session, request, err);
}

static void close_session(struct session *session)
{
    pg_close(session->pg);
    arena_free(session->arena);
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(value);
}

static json_t *failure_as_json(const struct failure *failure)
{
    return json_pack("{s:I, s:s, s:s, s:I, s:s?, s:s, s:s?, s:s?, s:b}", "id",
                     (json_int_t)failure->log_id, "table", failure->table_name, "action",
                     failure->action, "record_id", (json_int_t)failure->record_id, "sfid",
                     failure->sfid, "message", failure->message, "created_at", failure->created_at,
                     "processed_at", failure->processed_at, "is_archived", failure->is_archived);
}

static void print_failures_as_json(const struct failures *failures)
{
    json_t *list = json_array();

    for (size_t i = 0; i < failures->count; i++)
        json_array_append_new(list, failure_as_json(&failures->items[i]));
    print_json(list);
}

static void print_failures(const struct failures *failures)
{
    if (failures->count == 0) {
        puts("nothing has failed");
        return;
    }
    printf("%-10s %-24s %-8s %10s %-20s %s\n", "id", "table", "action", "row", "failed (UTC)",
           "message");
    for (size_t i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->items[i];

        printf("%-10" PRId64 " %-24s %-8s %10" PRId64 " %-20s %s\n", failure->log_id,
               failure->table_name, failure->action, failure->record_id,
               failure->processed_at != NULL ? failure->processed_at : "", failure->message);
    }
    if (failures->count == LISTED_MAX)
        fprintf(stderr, "pgforce: only the first %d are listed\n", LISTED_MAX);
}

bool failure_commands_errors(const struct config *config, int count, char **arguments,
                             struct error *err)
{
    struct request request = {0};
    struct session session = {0};
    struct failures failures = {.limit = LISTED_MAX};

    if (!read_list_request(count, arguments, &request, err))
        return false;
    bool is_ok = open_session(&session, config, &request, err);
    failures.arena = session.arena;
    is_ok =
        is_ok && failures_read(session.pg, session.schema_name, &session.choice, &failures, err);
    if (is_ok && request.wants_json)
        print_failures_as_json(&failures);
    else if (is_ok)
        print_failures(&failures);
    close_session(&session);
    return is_ok;
}

static void say_count(int64_t count, const char *one, const char *many)
{
    printf("%" PRId64 " %s\n", count, count == 1 ? one : many);
}

bool failure_commands_retry(const struct config *config, int count, char **arguments,
                            struct error *err)
{
    struct request request = {0};
    struct session session = {0};
    struct failures_result result;

    if (!read_request(count, arguments, &request, err))
        return false;
    bool is_ok = open_session(&session, config, &request, err) &&
                 failures_retry(session.pg, session.schema_name, &session.choice, &result, err);
    if (is_ok && request.wants_json)
        print_json(json_pack("{s:I, s:I}", "requeued", (json_int_t)result.requeued, "rowless",
                             (json_int_t)result.rowless));
    else if (is_ok)
        say_count(result.requeued, "entry will be tried again", "entries will be tried again");
    if (is_ok && !request.wants_json && result.rowless > 0)
        say_count(result.rowless,
                  "was left: its row or mapping is gone (`pgforce ignore` gives it up)",
                  "were left: their rows or mappings are gone (`pgforce ignore` gives them up)");
    close_session(&session);
    return is_ok;
}

bool failure_commands_ignore(const struct config *config, int count, char **arguments,
                             struct error *err)
{
    struct request request = {0};
    struct session session = {0};
    int64_t ignored;

    if (!read_request(count, arguments, &request, err))
        return false;
    bool is_ok = open_session(&session, config, &request, err) &&
                 failures_ignore(session.pg, session.schema_name, &session.choice, &ignored, err);
    if (is_ok && request.wants_json)
        print_json(json_pack("{s:I}", "ignored", (json_int_t)ignored));
    else if (is_ok)
        say_count(ignored, "entry was given up", "entries were given up");
    close_session(&session);
    return is_ok;
}

static json_t *conflict_as_json(const struct conflict *conflict)
{
    return json_pack("{s:I, s:s, s:s, s:s?, s:s?, s:s, s:s?, s:s, s:s, s:s?, s:s?, s:s?, s:s}",
                     "id", (json_int_t)conflict->id, "object", conflict->object_name, "table",
                     conflict->table_name, "record_id", conflict->record_id, "sfid", conflict->sfid,
                     "column", conflict->column_name, "log_id", conflict->log_id, "winner",
                     conflict->winner, "policy", conflict->policy, "base", conflict->base_value,
                     "postgres", conflict->postgres_value, "salesforce", conflict->salesforce_value,
                     "detected_at", conflict->detected_at);
}

static void print_conflicts_as_json(const struct conflicts *conflicts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < conflicts->count; i++)
        json_array_append_new(list, conflict_as_json(&conflicts->items[i]));
    print_json(list);
}

static const char *shown(const char *value)
{
    return value != NULL ? value : "(null)";
}

static void print_conflicts(const struct conflicts *conflicts)
{
    if (conflicts->count == 0) {
        puts("no conflicts");
        return;
    }
    printf("%-20s %-24s %-18s %-24s %-10s %s\n", "met (UTC)", "table", "sfid", "column", "winner",
           "base | postgres | salesforce");
    for (size_t i = 0; i < conflicts->count; i++) {
        const struct conflict *conflict = &conflicts->items[i];

        printf("%-20s %-24s %-18s %-24s %-10s %s | %s | %s\n", conflict->detected_at,
               conflict->table_name, shown(conflict->sfid), conflict->column_name, conflict->winner,
               shown(conflict->base_value), shown(conflict->postgres_value),
               shown(conflict->salesforce_value));
    }
    if (conflicts->count == LISTED_MAX)
        fprintf(stderr, "pgforce: only the newest %d are listed\n", LISTED_MAX);
}

bool failure_commands_conflicts(const struct config *config, int count, char **arguments,
                                struct error *err)
{
    struct request request = {0};
    struct session session = {0};
    struct conflicts conflicts = {.limit = LISTED_MAX};

    if (!read_list_request(count, arguments, &request, err))
        return false;
    bool is_ok = open_session(&session, config, &request, err);
    conflicts.arena = session.arena;
    is_ok = is_ok && conflicts_read(session.pg, session.schema_name, session.choice.table_name,
                                    &conflicts, err);
    if (is_ok && request.wants_json)
        print_conflicts_as_json(&conflicts);
    else if (is_ok)
        print_conflicts(&conflicts);
    close_session(&session);
    return is_ok;
}
