#include "cli/configure_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/org_call.h"
#include "mapping/organisation.h"

/* What is wrong before anything is opened is told before anything is opened. */
static bool check_file(json_t *root, struct error *err)
{
    struct arena *arena = arena_new();
    struct import import;
    bool is_ok = import_read(root, arena, &import, err);

    arena_free(arena);
    if (!is_ok)
        err->kind = ERROR_RECORD;
    return is_ok;
}

struct file_call {
    struct org_call call;
    json_t *root;
    struct configure_options options;
    struct configure_report report;
    bool (*print)(struct file_call *file);
};

static bool apply_file(struct org_call *call, struct error *err)
{
    struct file_call *file = (struct file_call *)call;

    if (org_call_apply(call, file->root, &file->options, &file->report, err))
        return file->print(file);
    return err->kind == ERROR_RECORD && org_call_blame(call->read.rest[0], err);
}

static bool run_file(struct file_call *file, struct error *err)
{
    const char *path = file->call.read.rest[0];
    bool is_ok = org_call_load_file(path, &file->root, err) &&
                 (check_file(file->root, err) || org_call_blame(path, err)) &&
                 org_call_run(&file->call, apply_file, err);

    json_decref(file->root);
    return is_ok;
}

static bool has(const struct file_call *file, const char *option)
{
    return arguments_has(&file->call.read, option);
}

/* The one file that these commands want. */
static bool read_path(struct file_call *file, int count, char **texts, const char *known,
                      struct error *err)
{
    if (!arguments_read(count, texts, known, &file->call.read, err))
        return false;
    if (file->call.read.rest_count != 1)
        return error_set(err, ERROR_USAGE, "one FILE is wanted (\"-\" is standard input)");
    file->options.is_file = true;
    file->options.prunes = has(file, "prune");
    file->options.is_exact = has(file, "exact");
    file->options.allows_missing = has(file, "allow-missing");
    file->options.recreates_views = has(file, "recreate-views");
    return true;
}

static bool print_report_json(const struct file_call *file)
{
    json_t *json ORG_CALL_JSON_AUTO = org_call_report_json(&file->report);

    org_call_print_json(json);
    return true;
}

static bool print_import(struct file_call *file)
{
    const struct lifecycle_result *done = &file->report.done;

    if (has(file, "json"))
        return print_report_json(file);
    printf("imported %d mappings into schema %s: %d created, %d changed, %d unchanged\n",
           done->created + done->changed + done->unchanged, file->call.config->schema_name,
           done->created, done->changed, done->unchanged);
    return true;
}

bool configure_command_import(const struct config *config, int count, char **texts,
                              struct error *err)
{
    struct file_call file = {.call.config = config, .print = print_import};

    return read_path(&file, count, texts, "exact allow-missing recreate-views json", err) &&
           run_file(&file, err);
}

static bool print_plan(struct file_call *file)
{
    if (has(file, "json"))
        return print_report_json(file);
    org_call_print_steps(&file->report);
    if (file->report.done.step_count == 0)
        puts("nothing to do");
    else
        printf("%zu steps; %lld records to read, about %lld API calls\n",
               file->report.done.step_count, (long long)file->report.records,
               (long long)file->report.api_calls);
    return true;
}

bool configure_command_plan(const struct config *config, int count, char **texts, bool *has_changes,
                            struct error *err)
{
    struct file_call file = {.call.config = config,
                             .print = print_plan,
                             .options.is_plan = true,
                             .options.bulk_above = config->bulk_read_above};
    bool is_ok =
        read_path(&file, count, texts, "prune exact allow-missing recreate-views json", err) &&
        run_file(&file, err);

    *has_changes = is_ok && file.report.done.step_count > 0;
    return is_ok;
}

static bool print_apply(struct file_call *file)
{
    const struct lifecycle_result *done = &file->report.done;

    if (has(file, "json"))
        return print_report_json(file);
    org_call_print_steps(&file->report);
    printf("%d created, %d changed, %d deleted, %d unchanged\n", done->created, done->changed,
           done->deleted, done->unchanged);
    return true;
}

static bool print_to_ask(struct file_call *file)
{
    struct configure_report *report = &file->report;

    for (size_t i = 0; i < report->done.step_count; i++)
        fprintf(stderr, "%-24s %-28s %s\n", report->done.steps[i].action,
                report->done.steps[i].object_name, report->done.steps[i].detail);
    return true;
}

static bool has_destruction(const struct configure_report *report)
{
    for (size_t i = 0; i < report->done.step_count; i++)
        if (strncmp(report->done.steps[i].action, "drop column", 11) == 0 ||
            strncmp(report->done.steps[i].action, "delete", 6) == 0)
            return true;
    return false;
}

/* Pruning is shown, then asked about, then done. */
static bool plan_and_apply(struct org_call *call, struct error *err)
{
    struct file_call *file = (struct file_call *)call;
    bool (*print)(struct file_call *) = file->print;
    json_t *root = json_deep_copy(file->root);

    file->options.is_plan = true;
    file->options.bulk_above = file->call.config->bulk_read_above;
    file->print = print_to_ask;
    bool is_ok = apply_file(call, err) &&
                 (!has_destruction(&file->report) ||
                  ask_before("this deletes what the file does not name", has(file, "yes"), err));
    json_decref(file->root);
    file->root = root;
    file->options.is_plan = false;
    file->print = print;
    return is_ok && apply_file(call, err);
}

bool configure_command_apply(const struct config *config, int count, char **texts,
                             struct error *err)
{
    struct file_call file = {.call.config = config, .print = print_apply};

    if (!read_path(&file, count, texts, "prune yes allow-missing recreate-views json", err))
        return false;
    if (!file.options.prunes)
        return run_file(&file, err);
    const char *path = file.call.read.rest[0];
    bool is_ok = org_call_load_file(path, &file.root, err) &&
                 (check_file(file.root, err) || org_call_blame(path, err)) &&
                 org_call_run(&file.call, plan_and_apply, err);
    json_decref(file.root);
    return is_ok;
}

/* Into the file itself only when it is whole: what was there stays otherwise. */
static bool write_file(const char *path, const json_t *root, struct error *err)
{
    struct buf temporary BUF_AUTO = {0};

    buf_init(&temporary, 4096);
    buf_printf(&temporary, "%s.new", path);
    FILE *file = fopen(temporary.data, "we");
    if (file == NULL)
        return error_set(err, error_kind_of(errno), "cannot write %s: %s", temporary.data,
                         strerror(errno));
    bool is_ok =
        json_dumpf(root, file, JSON_INDENT(4) | JSON_SORT_KEYS) == 0 && fputc('\n', file) != EOF;
    is_ok = fclose(file) == 0 && is_ok;
    if (is_ok && rename(temporary.data, path) == 0)
        return true;
    error_set(err, error_kind_of(errno), "cannot write %s: %s", path, strerror(errno));
    unlink(temporary.data);
    return false;
}

bool configure_command_export(const struct config *config, int count, char **texts,
                              struct error *err)
{
    struct arguments_read read;
    json_t *root ORG_CALL_JSON_AUTO = NULL;

    if (!arguments_read(count, texts, "json", &read, err))
        return false;
    if (read.rest_count > 1)
        return error_set(err, ERROR_USAGE, "usage: pgforce export [FILE]");
    struct pg *pg = pg_open(config->database_url, "pgforce export", err);
    bool is_ok = pg != NULL && configure_export(pg, config->schema_name, &root, err);
    pg_close(pg);
    if (!is_ok)
        return false;
    if (read.rest_count == 1 && strcmp(read.rest[0], "-") != 0)
        return write_file(read.rest[0], root, err);
    org_call_print_json(root);
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static bool list_objects(struct org_call *call, struct error *err)
{
    struct organisation *organisation = organisation_new(call->session, call->arena);
    const char *search = call->read.rest_count > 0 ? call->read.rest[0] : NULL;
    json_t *objects ORG_CALL_JSON_AUTO = NULL;
    size_t i;
    json_t *object;

    if (!organisation_objects(organisation, search, &objects, err))
        return false;
    if (arguments_has(&call->read, "json")) {
        org_call_print_json(objects);
        return true;
    }
    json_array_foreach(objects, i, object)
    {
        const char *reason = text_of(object, "reason");
        printf("%-40s %-40s %s%s\n", text_of(object, "name"), text_of(object, "label"),
               reason[0] != '\0' ? "cannot be mapped: " : "", reason);
    }
    return true;
}

bool configure_command_objects(const struct config *config, int count, char **texts,
                               struct error *err)
{
    struct org_call call = {.config = config};

    if (!arguments_read(count, texts, "json", &call.read, err))
        return false;
    if (call.read.rest_count > 1)
        return error_set(err, ERROR_USAGE, "usage: pgforce objects [SEARCH] [--json]");
    return org_call_run(&call, list_objects, err);
}

static bool list_fields(struct org_call *call, struct error *err)
{
    struct organisation *organisation = organisation_new(call->session, call->arena);
    json_t *fields ORG_CALL_JSON_AUTO = NULL;
    size_t i;
    json_t *field;

    if (!organisation_fields(organisation, call->read.rest[0], &fields, err))
        return false;
    if (arguments_has(&call->read, "json")) {
        org_call_print_json(fields);
        return true;
    }
    json_array_foreach(fields, i, field)
    {
        const char *reason = text_of(field, "reason");
        printf("%-40s %-16s %-28s%s%s%s%s\n", text_of(field, "name"), text_of(field, "type"),
               text_of(field, "column_type"),
               json_is_true(json_object_get(field, "is_required")) ? " required" : "",
               json_is_true(json_object_get(field, "is_external_id")) ? " external-id" : "",
               reason[0] != '\0' ? " cannot be mapped: " : "", reason);
    }
    return true;
}

bool configure_command_fields(const struct config *config, int count, char **texts,
                              struct error *err)
{
    struct org_call call = {.config = config};

    if (!arguments_read(count, texts, "json", &call.read, err))
        return false;
    if (call.read.rest_count != 1)
        return error_set(err, ERROR_USAGE, "usage: pgforce fields OBJECT [--json]");
    return org_call_run(&call, list_fields, err);
}
