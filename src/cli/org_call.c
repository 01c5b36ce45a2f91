#include "cli/org_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/install.h"
#include "mapping/usage.h"
#include "run/salesforce.h"

enum { IMPORT_MAX_BYTES = 16 * 1024 * 1024, READ_BYTES = 64 * 1024 };

static bool read_file(const char *path, struct buf *text, struct error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    char block[READ_BYTES];
    size_t size;

    if (file == NULL)
        return error_set(err, error_kind_of(errno), "cannot read %s: %s", path, strerror(errno));
    while ((size = fread(block, 1, sizeof(block), file)) > 0)
        buf_append(text, block, size);
    bool is_ok = !ferror(file);
    if (!is_stdin)
        fclose(file);
    if (!is_ok)
        return error_set(err, error_kind_of(errno), "cannot read %s: %s", path, strerror(errno));
    if (buf_is_full(text))
        return error_set(err, ERROR_RECORD, "%s is larger than %d bytes: no mapping file", path,
                         IMPORT_MAX_BYTES);
    return true;
}

bool org_call_blame(const char *path, struct error *err)
{
    return strcmp(path, "-") != 0 && error_prefix(err, "%s", path);
}

bool org_call_load_file(const char *path, json_t **root, struct error *err)
{
    struct buf text BUF_AUTO = {0};

    buf_init(&text, IMPORT_MAX_BYTES);
    if (!read_file(path, &text, err))
        return false;
    if (import_load(text.data, text.size_bytes, root, err))
        return true;
    err->kind = ERROR_RECORD;
    return org_call_blame(path, err);
}

bool org_call_run(struct org_call *call, bool (*work)(struct org_call *call, struct error *err),
                  struct error *err)
{
    if (!config_require_database(call->config, err))
        return false;
    call->arena = arena_new();
    call->pg = pg_open(call->config->database_url, "pgforce configure", err);
    bool is_set_up =
        call->pg != NULL &&
        (call->is_adopting || install_check_version(call->pg, call->config->schema_name, err));
    call->session = is_set_up ? salesforce_open(call->config, call->pg, err) : NULL;
    struct error ignored;
    bool is_ok = call->session != NULL && work(call, err);
    /* What was heard of the organisation's allowance on the way is news for the roles. */
    if (call->session != NULL)
        usage_note(call->pg, call->config->schema_name, call->session, &ignored);
    sf_session_close(call->session);
    pg_close(call->pg);
    arena_free(call->arena);
    return is_ok;
}

struct configure_target org_call_target(const struct org_call *call)
{
    return (struct configure_target){call->pg, call->config->schema_name, call->session,
                                     call->arena};
}

bool org_call_apply(struct org_call *call, json_t *root, const struct configure_options *options,
                    struct configure_report *report, struct error *err)
{
    struct configure_target target = org_call_target(call);

    if ((!options->is_plan && !salesforce_bind(call->config, call->session, call->pg, err)) ||
        !configure_apply(&target, root, options, report, err))
        return false;
    for (size_t i = 0; i < report->warnings.kept; i++)
        fprintf(stderr, "pgforce: warning: %s\n", report->warnings.lines[i]);
    return true;
}

void org_call_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(4) | JSON_SORT_KEYS);
    putchar('\n');
}

json_t *org_call_report_json(const struct configure_report *report)
{
    const struct lifecycle_result *done = &report->done;
    json_t *steps = json_array();
    json_t *warnings = json_array();

    for (size_t i = 0; i < done->step_count; i++)
        json_array_append_new(steps, json_pack("{s:s, s:s, s:s}", "action", done->steps[i].action,
                                               "object_name", done->steps[i].object_name, "detail",
                                               done->steps[i].detail));
    for (size_t i = 0; i < report->warnings.kept; i++)
        json_array_append_new(warnings, json_string(report->warnings.lines[i]));
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:I, s:I}", "created", done->created,
                     "changed", done->changed, "unchanged", done->unchanged, "deleted",
                     done->deleted, "steps", steps, "warnings", warnings, "records",
                     (json_int_t)report->records, "api_calls", (json_int_t)report->api_calls);
}

void org_call_print_steps(const struct configure_report *report)
{
    for (size_t i = 0; i < report->done.step_count; i++) {
        const struct lifecycle_step *step = &report->done.steps[i];
        printf("%-24s %-28s %s\n", step->action, step->object_name, step->detail);
    }
}

void org_call_decref(json_t **json)
{
    json_decref(*json);
}

/* Type oids of int8, int2 and int4, as everywhere. */
static json_t *field_json(const PGresult *result, int row, int column)
{
    const char *text = pg_field(result, row, column);
    Oid type = PQftype(result, column);

    if (text == NULL)
        return json_null();
    return type == 20 || type == 21 || type == 23
               ? json_integer(pg_field_int64(result, row, column))
               : json_string(text);
}

json_t *org_call_rows_json(const PGresult *result)
{
    json_t *rows = json_array();

    for (int row = 0; row < PQntuples(result); row++) {
        json_t *object = json_object();

        for (int column = 0; column < PQnfields(result); column++)
            json_object_set_new(object, PQfname(result, column), field_json(result, row, column));
        json_array_append_new(rows, object);
    }
    return rows;
}
