#include "cli/doctor_command.h"

#include <stdio.h>

#include "cli/arguments.h"
#include "cli/org_call.h"
#include "control/checks.h"
#include "run/salesforce.h"

static void print_finding(const struct checks_finding *item)
{
    printf("%-7s %-32s %s%s%s\n", checks_level_name(item->level), item->rule->id,
           item->object_name != NULL ? item->object_name : "",
           item->object_name != NULL ? ": " : "", item->message);
    if (item->remedy != NULL)
        printf("        %-32s -> %s\n", "", item->remedy);
}

/* The worst first, and what was not asked last; what is well is only counted. */
static void print_text(const struct checks_report *report)
{
    static const enum checks_level order[] = {CHECKS_RED, CHECKS_YELLOW, CHECKS_SKIPPED};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        for (size_t j = 0; j < report->count; j++)
            if (report->items[j].level == order[i])
                print_finding(&report->items[j]);
    printf("%zu errors, %zu warnings, %zu skipped, %zu passed\n", checks_count(report, CHECKS_RED),
           checks_count(report, CHECKS_YELLOW), checks_count(report, CHECKS_SKIPPED),
           checks_count(report, CHECKS_GREEN));
}

static void print(const struct checks_report *report, bool is_json)
{
    if (!is_json) {
        print_text(report);
        return;
    }
    json_t *json ORG_CALL_JSON_AUTO = checks_report_json(report);
    org_call_print_json(json);
}

/* Neither a database nor an organisation that is away ends the run: each is a finding. */
static bool run_checks(const struct config *config, const struct arguments_read *read,
                       struct checks_report *report, struct arena *arena, struct error *err)
{
    struct error no_database = {0};
    struct error no_session = {0};
    struct pg *pg = pg_open(config->database_url, "pgforce doctor", &no_database);
    struct sf_session *session = pg != NULL && !arguments_has(read, "offline")
                                     ? salesforce_open(config, pg, &no_session)
                                     : NULL;
    struct checks_target target = {.schema_name = config->schema_name,
                                   .app_role = config->app_role,
                                   .object_name = read->rest_count > 0 ? read->rest[0] : NULL,
                                   .limits = config->limits,
                                   .pg = pg,
                                   .no_database = no_database.message,
                                   .session = session,
                                   .no_session =
                                       no_session.kind != ERROR_NONE ? no_session.message : NULL};
    bool is_ok = checks_run(&target, arena, report, err);

    sf_session_close(session);
    pg_close(pg);
    return is_ok;
}

bool doctor_command_run(const struct config *config, int count, char **texts, bool *has_errors,
                        struct error *err)
{
    struct checks_report report;
    struct arguments_read read;

    if (!arguments_read(count, texts, "json offline", &read, err))
        return false;
    if (read.rest_count > 1)
        return error_set(err, ERROR_USAGE, "usage: pgforce doctor [MAPPING] [--json] [--offline]");
    struct arena *arena = arena_new();
    bool is_ok = run_checks(config, &read, &report, arena, err);
    if (is_ok)
        print(&report, arguments_has(&read, "json"));
    *has_errors = is_ok && checks_count(&report, CHECKS_RED) > 0;
    arena_free(arena);
    return is_ok;
}

void doctor_command_print_rules(void)
{
    checks_print_markdown(stdout);
}
