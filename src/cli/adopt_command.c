#include "cli/adopt_command.h"

#include <stdio.h>

#include "archive/takeover.h"
#include "cli/ask.h"
#include "cli/org_call.h"
#include "mapping/adopt.h"
#include "mapping/organisation.h"
#include "mapping/transaction.h"
#include "run/setup.h"

struct adopting {
    struct org_call call; /* first: org_call_run gives it back */
    json_t *root;
    struct resolve_result resolved;
    struct takeover takeover;
};

/* The locks of ALTER TABLE keep writers out from the last change that a trigger captured to the
 * first one that the stream does. */
static bool take_over(void *context, struct error *err)
{
    struct adopting *adopting = context;
    struct pg *pg = adopting->call.pg;
    const struct config *config = adopting->call.config;

    return takeover_set_aside(pg, config->schema_name, &adopting->takeover, err) &&
           setup_install(pg, config, err) &&
           takeover_take_in(pg, config->schema_name, &adopting->takeover, err) &&
           adopt_tables(pg, &adopting->resolved.list, err);
}

/* Of another organisation, every row would look like a deleted record. */
static bool check_organisation(const struct adopting *adopting, struct error *err)
{
    const struct org_call *call = &adopting->call;
    const char *ours = sf_session_organisation_id(call->session);
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "select org_id from ");
    pg_append_qualified(&sql, call->config->schema_name, "_hcmeta");
    buf_text(&sql, " where org_id <> '' and left(org_id, 15) <> left($1, 15)");
    PGresult *others PG_RESULT_AUTO = pg_query(call->pg, sql.data, PG_PARAMS(ours), err);
    if (others == NULL)
        return false;
    if (PQntuples(others) == 0 || ours[0] == '\0')
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the schema %s belongs to organisation %s, these credentials to %s: check"
                     " PGFORCE_SF_LOGIN_URL",
                     call->config->schema_name, pg_field(others, 0, 0), ours);
}

static bool resolve(struct adopting *adopting, struct error *err)
{
    struct org_call *call = &adopting->call;
    struct organisation *organisation = organisation_new(call->session, call->arena);
    struct resolve_org org = organisation_resolver(organisation);
    struct import_problems problems = {.arena = call->arena};
    struct import import;

    if (!import_read(adopting->root, call->arena, &import, err) ||
        !resolve_import(&import, &org, call->arena, &adopting->resolved, err)) {
        err->kind = err->kind == ERROR_CONFIG ? ERROR_RECORD : err->kind;
        return org_call_blame(call->read.rest[0], err);
    }
    return adopt_check(call->pg, call->config->schema_name, &adopting->resolved.list, &problems,
                       err);
}

static void print_result(const struct adopting *adopting)
{
    const struct takeover *done = &adopting->takeover;
    json_t *json ORG_CALL_JSON_AUTO =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "tables", (json_int_t)adopting->resolved.list.count,
                  "triggers", (json_int_t)done->triggers, "entries", (json_int_t)done->entries,
                  "archived", (json_int_t)done->archived, "doubtful", (json_int_t)done->doubtful);

    if (arguments_has(&adopting->call.read, "json")) {
        org_call_print_json(json);
        return;
    }
    printf("adopted %zu tables; removed %lld triggers; kept %lld log entries and %lld archived\n",
           adopting->resolved.list.count, (long long)done->triggers, (long long)done->entries,
           (long long)done->archived);
    if (done->doubtful > 0)
        printf("%lld entries were under way and are FAILED now: see `pgforce errors`\n",
               (long long)done->doubtful);
    puts("next: pgforce run");
}

/* The connection's own part of the file, and a proof that nothing is left to do. */
static bool store_file(struct adopting *adopting, struct error *err)
{
    static const struct configure_options options = {.is_file = true};
    struct configure_report report;

    return org_call_apply(&adopting->call, adopting->root, &options, &report, err);
}

static bool adopt(struct org_call *call, struct error *err)
{
    struct adopting *adopting = (struct adopting *)call;
    const struct setup_options options = {0};
    const struct transaction transaction = {call->config->schema_name, take_over, adopting,
                                            "adopt"};

    if (!check_organisation(adopting, err) || !resolve(adopting, err) ||
        !ask_before("Heroku Connect's triggers and functions will be removed from the schema; make"
                    " sure that it no longer syncs it",
                    arguments_has(&call->read, "yes"), err) ||
        !setup_stream(call->pg, call->config, &options, err) ||
        !transaction_run(call->pg, &transaction, err) || !store_file(adopting, err))
        return false;
    print_result(adopting);
    return true;
}

/* Signing in looks at the connection's row, so that is made first; nothing else is touched. */
static bool prepare(const struct config *config, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce adopt", err);
    bool is_ok = pg != NULL && takeover_check(pg, config->schema_name, err) &&
                 setup_reserve(pg, config, err);

    pg_close(pg);
    return is_ok;
}

bool adopt_command_run(const struct config *config, int count, char **texts, struct error *err)
{
    struct adopting adopting = {.call.config = config, .call.is_adopting = true};

    if (!arguments_read(count, texts, "yes json", &adopting.call.read, err))
        return false;
    if (adopting.call.read.rest_count != 1)
        return error_set(err, ERROR_USAGE, "usage: pgforce adopt FILE [--yes] [--json]");
    bool is_ok = org_call_load_file(adopting.call.read.rest[0], &adopting.root, err) &&
                 prepare(config, err) && org_call_run(&adopting.call, adopt, err);
    json_decref(adopting.root);
    return is_ok;
}
