#include "cli/mapping_command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/install.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/load_progress.h"
#include "cli/mapping_edit_command.h"
#include "cli/org_call.h"
#include "mapping/confirm.h"
#include "mapping/connection.h"
#include "mapping/operation.h"
#include "mapping/report.h"
#include "mapping/state.h"
#include "pg/pg.h"

struct call {
    const struct config *config;
    struct pg *pg;
    struct arguments_read read; /* the options and what is left */
    const char *object_name;    /* NULL where the verb takes none */
};

/* What was done, in words or as JSON. */
static bool report(const struct call *call, const char *done)
{
    json_t *json ORG_CALL_JSON_AUTO = NULL;

    if (!arguments_has(&call->read, "json")) {
        printf("%s: %s\n", call->object_name, done);
        return true;
    }
    json = json_pack("{s:s, s:s}", "object_name", call->object_name, "result", done);
    org_call_print_json(json);
    return true;
}

static const char *text_of(const json_t *mapping, const char *key)
{
    const char *text = json_string_value(json_object_get(mapping, key));

    return text != NULL ? text : "";
}

static void print_row(const json_t *mapping)
{
    const json_t *counts = json_object_get(mapping, "counts");

    printf("%-28s %-10s %-22s %8lld %7lld  %-20s %s\n", text_of(mapping, "object_name"),
           text_of(mapping, "access"), text_of(mapping, "state"),
           (long long)json_integer_value(json_object_get(counts, "pending")),
           (long long)json_integer_value(json_object_get(counts, "errors")),
           text_of(mapping, "polled_at"), text_of(mapping, "state_description"));
}

static bool run_list(struct call *call, struct error *err)
{
    json_t *mappings ORG_CALL_JSON_AUTO = NULL;
    size_t i;
    json_t *mapping;

    if (!report_mappings(call->pg, call->config->schema_name, NULL, &mappings, err))
        return false;
    if (arguments_has(&call->read, "json")) {
        org_call_print_json(mappings);
        return true;
    }
    printf("%-28s %-10s %-22s %8s %7s  %-20s\n", "object", "access", "state", "pending", "errors",
           "polled (UTC)");
    json_array_foreach(mappings, i, mapping) print_row(mapping);
    return true;
}

static void print_fields(const json_t *mapping)
{
    size_t i;
    json_t *field;

    printf("\n%-40s %-40s %s\n", "field", "column", "type");
    json_array_foreach(json_object_get(mapping, "fields"), i, field)
        printf("%-40s %-40s %s%s\n", text_of(field, "name"), text_of(field, "column"),
               text_of(field, "column_type"),
               json_is_false(json_object_get(field, "is_filled")) ? "  (being filled)" : "");
}

/* What the organisation's own definition of the object has to say. */
static void print_survey(const json_t *mapping, const char *list, const char *heading)
{
    const json_t *names = json_object_get(json_object_get(mapping, "organisation"), list);
    size_t i;
    const json_t *name;

    if (json_array_size(names) == 0)
        return;
    printf("%-12s", heading);
    json_array_foreach(names, i, name)
    {
        printf("%s%s", i > 0 ? ", " : " ", json_string_value(name));
    }
    printf("\n");
}

static void print_waiting_writes(const json_t *waiting)
{
    if (json_is_object(waiting))
        printf("writes       %lld wait to be tried again: %s\n",
               (long long)json_integer_value(json_object_get(waiting, "count")),
               text_of(waiting, "message"));
}

static void print_mapping(const json_t *mapping)
{
    const struct state *state = state_find(text_of(mapping, "state"));

    printf("object       %s\ntable        %s\naccess       %s\nunique id    %s\n",
           text_of(mapping, "object_name"), text_of(mapping, "table_name"),
           text_of(mapping, "access"), text_of(mapping, "upsert_field"));
    printf("polling      every %lld s, last at %s\n",
           (long long)json_integer_value(json_object_get(mapping, "sf_polling_seconds")),
           text_of(mapping, "polled_at"));
    printf("state        %s%s%s\n", text_of(mapping, "state"), state != NULL ? ": " : "",
           state != NULL ? state->meaning : "");
    if (text_of(mapping, "state_description")[0] != '\0')
        printf("because      %s\n", text_of(mapping, "state_description"));
    printf("way out      %s\n", state != NULL ? state->way_out : "");
    print_waiting_writes(json_object_get(mapping, "waiting_writes"));
    print_survey(mapping, "missing", "gone there");
    print_survey(mapping, "changed", "to refresh");
    print_survey(mapping, "offered", "also there");
    print_fields(mapping);
}

static bool run_show(struct call *call, struct error *err)
{
    json_t *mappings ORG_CALL_JSON_AUTO = NULL;

    if (!report_mappings(call->pg, call->config->schema_name, call->object_name, &mappings, err))
        return false;
    if (arguments_has(&call->read, "json")) {
        org_call_print_json(json_array_get(mappings, 0));
        return true;
    }
    print_mapping(json_array_get(mappings, 0));
    return load_progress_print(call->pg, call->config->schema_name, call->object_name, err);
}

static bool run_abort(struct call *call, struct error *err)
{
    return operation_abort(call->pg, call->config->schema_name, call->object_name, err) &&
           report(call, "aborted; `pgforce resume` with its name goes on, `mapping reload` begins"
                        " anew");
}

static bool run_confirm(struct call *call, struct error *err)
{
    int64_t count;
    char done[64];

    if (!confirm_deletions(call->pg, call->config->schema_name, call->object_name, &count, err))
        return false;
    snprintf(done, sizeof(done), "%lld deletions confirmed", (long long)count);
    return report(call, done);
}

static bool run_reload(struct call *call, struct error *err)
{
    bool is_destructive = arguments_has(&call->read, "destructive");
    const char *what = "all rows, their ids and pending writes will be lost, and all records read"
                       " again (without --destructive nothing is lost)";

    return (!is_destructive || ask_before(what, arguments_has(&call->read, "yes"), err)) &&
           operation_reload(call->pg, call->config->schema_name, call->object_name, is_destructive,
                            err) &&
           (!arguments_has(&call->read, "wait") ||
            load_progress_watch(call->pg, call->config->schema_name, call->object_name, err)) &&
           report(call, arguments_has(&call->read, "wait") ? "reloaded"
                                                           : "will be reloaded by the pull role");
}

static bool run_delete(struct call *call, struct error *err)
{
    bool keeps_table = arguments_has(&call->read, "keep-table");
    const char *what = keeps_table ? "writes that are not sent yet will be lost"
                                   : "the table and writes that are not sent yet will be lost";

    return ask_before(what, arguments_has(&call->read, "yes"), err) &&
           operation_delete(call->pg, call->config->schema_name, call->object_name, keeps_table,
                            err) &&
           report(call, keeps_table ? "deleted; its table is still there" : "deleted");
}

static bool run_states(struct call *call, struct error *err)
{
    (void)err;
    if (!arguments_has(&call->read, "json")) {
        state_print(stdout);
        return true;
    }
    json_t *json ORG_CALL_JSON_AUTO = state_json();
    org_call_print_json(json);
    return true;
}

static const struct verb {
    const char *name;
    const char *usage;
    const char *help;
    const char *options; /* those it takes, separated by blanks; a value is wanted after "=" */
    bool (*run)(struct call *call, struct error *err);
    bool (*run_with_org)(struct org_call *call, struct error *err); /* in place of run */
    bool needs_object;
    bool needs_database;
} verbs[] = {
    {"list", "[--json]", "what is mapped, in what state, and what waits", "json", run_list, NULL,
     false, true},
    {"show", "OBJECT [--json]",
     "one mapping: its state and the way out of it, its fields and columns", "json", run_show, NULL,
     true, true},
    {"create", MAPPING_EDIT_USAGE " [--wait] [--json]", "map an object: make its table and load it",
     MAPPING_EDIT_OPTIONS " wait json", NULL, mapping_edit_command_create, true, true},
    {"edit", MAPPING_EDIT_USAGE " [--yes] [--wait] [--json]",
     "change fields, access, identifier or options; the table is altered in place",
     MAPPING_EDIT_OPTIONS " yes wait json", NULL, mapping_edit_command_edit, true, true},
    {"refresh", "OBJECT [--recreate-views] [--json]",
     "take over what has changed in the organisation: types, lengths, fields that are gone",
     "recreate-views json", NULL, mapping_edit_command_refresh, true, true},
    {"count", "OBJECT [--json]", "count the records in Salesforce", "json", NULL,
     mapping_edit_command_count, true, true},
    {"orphans", "[--remove [--keep-table] [--yes]] [--json]",
     "mappings whose object is gone, and remove them", "remove keep-table yes json", NULL,
     mapping_edit_command_orphans, false, true},
    {"delete", "OBJECT [--keep-table] [--yes] [--json]",
     "end a mapping, and drop its table unless it is kept", "keep-table yes json", run_delete, NULL,
     true, true},
    {"reload", "OBJECT [--in-place | --destructive [--yes]] [--wait] [--json]",
     "read all records again; destructive: into an emptied table",
     "in-place destructive yes wait json", run_reload, NULL, true, true},
    {"abort", "OBJECT [--json]", "stop a load or a mapping where it is; pgforce resume goes on",
     "json", run_abort, NULL, true, true},
    {"confirm", "OBJECT [--json]", "let deletions go through that were held back for being many",
     "json", run_confirm, NULL, true, true},
    {"states", "[--json]", "the states, and which follows which", "json", run_states, NULL, false,
     false},
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

struct help_commands mapping_command_verbs(void)
{
    static struct help_command list[VERB_COUNT];

    for (size_t i = 0; i < VERB_COUNT; i++)
        list[i] = (struct help_command){verbs[i].name, verbs[i].usage, verbs[i].help};
    return (struct help_commands){list, VERB_COUNT};
}

static const struct verb *find_verb(const char *name, struct error *err)
{
    char names[256] = "";

    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "", verbs[i].name);
    }
    const char *nearest = help_nearest(name, mapping_command_verbs());
    error_set(err, ERROR_USAGE, "unknown verb \"%s\"%s%s%s: pgforce mapping %s", name,
              nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
              nearest != NULL ? "\"?" : "", names);
    return NULL;
}

static bool read_object(struct call *call, const struct verb *verb, struct error *err)
{
    if (call->read.rest_count != (verb->needs_object ? 1 : 0))
        return error_set(err, ERROR_USAGE, "usage: pgforce mapping %s %s", verb->name, verb->usage);
    call->object_name = verb->needs_object ? call->read.rest[0] : NULL;
    return true;
}

bool mapping_command_run(const struct config *config, int count, char **texts, struct error *err)
{
    struct call call = {.config = config};
    const struct verb *verb = find_verb(texts[0], err);

    if (verb == NULL || !arguments_read(count - 1, texts + 1, verb->options, &call.read, err) ||
        !read_object(&call, verb, err))
        return false;
    if (!verb->needs_database)
        return verb->run(&call, err);
    if (verb->run_with_org != NULL) {
        struct org_call with_org = {.config = config, .read = call.read};
        return org_call_run(&with_org, verb->run_with_org, err);
    }
    if (!config_require_database(config, err))
        return false;
    call.pg = pg_open(config->database_url, "pgforce mapping", err);
    bool is_ok = call.pg != NULL && install_check_version(call.pg, config->schema_name, err) &&
                 verb->run(&call, err);
    pg_close(call.pg);
    return is_ok;
}

static bool pause_or_resume(struct call *call, bool pauses, struct error *err)
{
    const char *schema_name = call->config->schema_name;
    int resumed = 0;

    call->object_name = schema_name;
    if (pauses)
        return connection_pause(call->pg, schema_name, err) &&
               report(call, "paused: nothing is read or sent until `pgforce resume`; changes are"
                            " still logged");
    if (call->read.rest_count == 0)
        return connection_resume(call->pg, schema_name, &resumed, err) && report(call, "resumed");
    call->object_name = call->read.rest[0];
    return operation_resume(call->pg, schema_name, call->object_name, err) &&
           report(call, "resumed");
}

static bool open_for(const struct config *config, int count, char **texts, bool pauses,
                     struct error *err)
{
    struct call call = {.config = config};

    if (!arguments_read(count, texts, "json", &call.read, err))
        return false;
    if (call.read.rest_count > (pauses ? 0 : 1))
        return error_set(err, ERROR_USAGE, "usage: pgforce %s [--json]",
                         pauses ? "pause" : "resume [OBJECT]");
    call.pg = pg_open(config->database_url, "pgforce mapping", err);
    bool is_ok = call.pg != NULL && pause_or_resume(&call, pauses, err);
    pg_close(call.pg);
    return is_ok;
}

bool mapping_command_pause(const struct config *config, int count, char **texts, struct error *err)
{
    return open_for(config, count, texts, true, err);
}

bool mapping_command_resume(const struct config *config, int count, char **texts, struct error *err)
{
    return open_for(config, count, texts, false, err);
}
