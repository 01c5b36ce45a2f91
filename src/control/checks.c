#include "control/checks.h"

#include <string.h>
#include <strings.h>

#include "base/wait.h"
#include "control/checks_org.h"
#include "control/checks_server.h"
#include "control/checks_slot.h"
#include "control/checks_tables.h"

enum { SQL_BYTES = 32 * 1024 };

/* The parameters under names, for every rule. */
static const char given[] =
    "with given as (select $1::text as schema_name, 'pgforce_' || $1::text as slot_name,"
    " $2::bigint as warning_bytes, $3::bigint as critical_bytes,"
    " make_interval(secs => $4::integer) as long_age, $5::text as app_role,"
    " make_interval(secs => $6::integer) as stalled_age)";

/* The mappings with their tables; table_oid is null where there is none. */
static const char mapped[] =
    ", mapped as (select m.id, m.object_name, m.table_name, pgforce.told_state(m) as state, "
    "m.state_description,"
    " m.access, m.upsert_field, m.schema_name, m.is_orphan, c.oid as table_oid,"
    " format('%I.%I', m.schema_name, m.table_name) as qualified, c.relreplident,"
    " c.relrowsecurity, c.relforcerowsecurity, c.relowner"
    " from pgforce.mapping m"
    " join given g on g.schema_name = m.schema_name"
    " left join pg_namespace n on n.nspname = m.schema_name"
    " left join pg_class c on c.relnamespace = n.oid and c.relname = m.table_name"
    " and c.relkind in ('r', 'p'))";

static const struct checks_rule *(*const sources[])(size_t *count) = {
    checks_server_rules, checks_slot_rules, checks_tables_rules, checks_org_rules};

enum { SOURCE_COUNT = sizeof(sources) / sizeof(sources[0]) };

static const char *const level_names[] = {[CHECKS_RED] = "RED",
                                          [CHECKS_YELLOW] = "YELLOW",
                                          [CHECKS_GREEN] = "GREEN",
                                          [CHECKS_SKIPPED] = "SKIPPED"};

const char *checks_level_name(enum checks_level level)
{
    return level_names[level];
}

static enum checks_level level_of(const char *name)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strcmp(level_names[i], name) == 0)
            return (enum checks_level)i;
    return CHECKS_RED;
}

static bool is_wanted(const struct checks *checks, const char *object_name)
{
    const char *wanted = checks->target->object_name;

    return wanted == NULL || (object_name != NULL && strcasecmp(wanted, object_name) == 0);
}

/* Where one mapping is asked for, what is said of another is left out. */
void checks_add(struct checks *checks, struct checks_finding finding)
{
    struct checks_report *report = checks->report;

    if (finding.object_name != NULL && !is_wanted(checks, finding.object_name))
        return;
    if (report->count == report->room) {
        size_t room = report->room > 0 ? report->room * 2 : 128;
        struct checks_finding *items = arena_array(checks->arena, struct checks_finding, room);

        if (report->count > 0)
            memcpy(items, report->items, report->count * sizeof(*items));
        report->items = items;
        report->room = room;
    }
    report->items[report->count++] = finding;
}

void checks_say(struct checks *checks, const struct checks_rule *rule, enum checks_level level,
                const char *message, const char *remedy)
{
    checks_add(checks, (struct checks_finding){
                           .rule = rule, .level = level, .message = message, .remedy = remedy});
}

static const char *keep(struct checks *checks, const char *text)
{
    return text != NULL ? arena_strdup(checks->arena, text) : NULL;
}

/* ---- a rule that asks the server ---- */

static PGresult *ask_server(struct checks *checks, const struct checks_rule *rule,
                            struct error *err)
{
    const struct checks_target *target = checks->target;
    const struct checks_limits *limits = &target->limits;
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES);
    buf_printf(&sql, "%s%s %s", given, rule->needs == CHECKS_NEEDS_SETUP ? mapped : "", rule->sql);
    return pg_query(target->pg, sql.data,
                    PG_PARAMS(target->schema_name, pg_number(limits->slot_warning_bytes).text,
                              pg_number(limits->slot_critical_bytes).text,
                              pg_number(limits->long_transaction_s).text, target->app_role,
                              pg_number(limits->stalled_s).text),
                    err);
}

static void take_rows(struct checks *checks, const struct checks_rule *rule, const PGresult *rows)
{
    for (int i = 0; i < PQntuples(rows); i++)
        checks_add(checks,
                   (struct checks_finding){.rule = rule,
                                           .object_name = keep(checks, pg_field(rows, i, 0)),
                                           .level = level_of(PQgetvalue(rows, i, 1)),
                                           .message = keep(checks, PQgetvalue(rows, i, 2)),
                                           .remedy = keep(checks, pg_field(rows, i, 3))});
}

static void ask(struct checks *checks, const struct checks_rule *rule)
{
    struct error err = {0};
    PGresult *rows PG_RESULT_AUTO = ask_server(checks, rule, &err);

    if (rows != NULL)
        take_rows(checks, rule, rows);
    else
        checks_say(checks, rule, CHECKS_SKIPPED, keep(checks, err.message), NULL);
}

/* ---- a rule that asks the organisation ---- */

/* An object that is not there is a finding of a rule of its own. */
static bool judge_all(struct checks *checks, const struct checks_rule *rule, struct error *err)
{
    for (size_t i = 0; i < checks->mappings.count; i++) {
        const struct mapping *mapping = &checks->mappings.items[i];
        const struct sf_object *object;

        if (!is_wanted(checks, mapping->object_name))
            continue;
        if (!organisation_describe(checks->organisation, mapping->object_name, &object, err))
            return false;
        rule->judge(checks, rule, mapping, object);
    }
    return true;
}

/* ---- the run ---- */

static bool asks_organisation(const struct checks_rule *rule)
{
    return rule->asks_organisation || rule->judge != NULL;
}

/* Why a rule cannot be asked; NULL when it can. */
static const char *find_obstacle(const struct checks *checks, const struct checks_rule *rule)
{
    if (rule->needs != CHECKS_NEEDS_NOTHING && checks->target->pg == NULL)
        return "the database cannot be reached";
    if (rule->needs == CHECKS_NEEDS_SETUP && !checks->is_set_up)
        return "`pgforce setup` has not been run for this schema";
    if (asks_organisation(rule) && checks->target->session == NULL &&
        rule->needs != CHECKS_NEEDS_NOTHING)
        return checks->target->no_session != NULL ? "the organisation cannot be reached"
                                                  : "the organisation was not to be asked";
    return NULL;
}

static bool has_finding(const struct checks_report *report, const struct checks_rule *rule,
                        const char *object_name, size_t since)
{
    for (size_t i = since; i < report->count; i++) {
        const struct checks_finding *item = &report->items[i];

        if (item->rule == rule && (item->object_name == NULL || object_name == NULL ||
                                   strcasecmp(item->object_name, object_name) == 0))
            return true;
    }
    return false;
}

/* GREEN is what is left: for the connection, or for each mapping that has no finding. */
static void add_passes(struct checks *checks, const struct checks_rule *rule, size_t since)
{
    if (rule->scope == CHECKS_CONNECTION) {
        if (!has_finding(checks->report, rule, NULL, since))
            checks_say(checks, rule, CHECKS_GREEN, rule->title, NULL);
        return;
    }
    for (size_t i = 0; i < checks->mappings.count; i++) {
        const char *name = checks->mappings.items[i].object_name;

        if (is_wanted(checks, name) && !has_finding(checks->report, rule, name, since))
            checks_add(checks, (struct checks_finding){.rule = rule,
                                                       .object_name = name,
                                                       .level = CHECKS_GREEN,
                                                       .message = rule->title});
    }
}

static bool apply_rule(struct checks *checks, const struct checks_rule *rule, struct error *err)
{
    const char *obstacle = find_obstacle(checks, rule);
    size_t since = checks->report->count;
    bool is_ok = true;

    if (obstacle != NULL) {
        checks_say(checks, rule, CHECKS_SKIPPED, obstacle, NULL);
        return true;
    }
    if (rule->sql != NULL)
        ask(checks, rule);
    else if (rule->look != NULL)
        is_ok = rule->look(checks, rule, err);
    else
        is_ok = judge_all(checks, rule, err);
    if (is_ok) {
        add_passes(checks, rule, since);
        return true;
    }
    if (wait_is_stopping())
        return false;
    checks_say(checks, rule, CHECKS_SKIPPED, keep(checks, err->message), NULL);
    return true;
}

static bool wants_rule(const struct checks_target *target, const struct checks_rule *rule)
{
    if (target->is_for_notice_only)
        return rule->event_type != NULL;
    return target->object_name == NULL || rule->scope == CHECKS_MAPPING;
}

static bool apply_all(struct checks *checks, struct error *err)
{
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        size_t count;
        const struct checks_rule *rules = sources[i](&count);

        for (size_t j = 0; j < count; j++)
            if (wants_rule(checks->target, &rules[j]) && !apply_rule(checks, &rules[j], err))
                return false;
    }
    return true;
}

/* A schema that cannot be read is found by the rule that says it is not set up. */
static bool find_setup(struct checks *checks)
{
    struct pg *pg = checks->target->pg;
    const char *schema_name = checks->target->schema_name;
    struct error why = {0};

    if (pg == NULL)
        return false;
    PGresult *there PG_RESULT_AUTO =
        pg_query(pg, "select to_regclass('pgforce.mapping') is not null", PG_PARAMS(), &why);
    if (there == NULL || !pg_field_bool(there, 0, 0))
        return false;
    PGresult *row PG_RESULT_AUTO = pg_query(
        pg, "select from pgforce.connection where schema_name = $1", PG_PARAMS(schema_name), &why);
    return row != NULL && PQntuples(row) > 0 &&
           mapping_load_every(pg, schema_name, checks->arena, &checks->mappings, &why);
}

bool checks_run(const struct checks_target *target, struct arena *arena,
                struct checks_report *report, struct error *err)
{
    struct checks_target wanted = *target;
    struct checks checks = {.target = &wanted, .arena = arena, .report = report};

    *report = (struct checks_report){0};
    checks.is_set_up = find_setup(&checks);
    /* Where no mapping can be found, what the whole says is the answer for each. */
    if (!checks.is_set_up)
        wanted.object_name = NULL;
    if (wanted.object_name != NULL &&
        mapping_find_by_object(&checks.mappings, wanted.object_name) == NULL)
        return mapping_refuse_unknown(wanted.schema_name, wanted.object_name, err);
    if (target->session != NULL)
        checks.organisation = organisation_new(target->session, arena);
    return apply_all(&checks, err);
}

size_t checks_count(const struct checks_report *report, enum checks_level level)
{
    size_t count = 0;

    for (size_t i = 0; i < report->count; i++)
        count += report->items[i].level == level;
    return count;
}

/* ---- the report as Heroku Connect's API has it ---- */

static const struct {
    const char *list;
    const char *status;
} shapes[] = {[CHECKS_RED] = {"errors", "FAILED"},
              [CHECKS_YELLOW] = {"warnings", "WARNING"},
              [CHECKS_GREEN] = {"passes", "PASSED"},
              [CHECKS_SKIPPED] = {"skips", "SKIPPED"}};

static json_t *new_lists(void)
{
    json_t *lists = json_object();

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        json_object_set_new(lists, shapes[i].list, json_array());
    return lists;
}

static json_t *finding_json(const struct checks_finding *item)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "rule_id", item->rule->id, "display_name",
                     item->rule->title, "status", shapes[item->level].status, "level",
                     level_names[item->level], "message", item->message, "remedy", item->remedy);
}

json_t *checks_report_json(const struct checks_report *report)
{
    json_t *root = new_lists();
    json_t *mappings = json_object();

    for (size_t i = 0; i < report->count; i++) {
        const struct checks_finding *item = &report->items[i];
        json_t *lists = root;

        if (item->object_name != NULL) {
            lists = json_object_get(mappings, item->object_name);
            if (lists == NULL) {
                lists = new_lists();
                json_object_set_new(mappings, item->object_name, lists);
            }
        }
        json_array_append_new(json_object_get(lists, shapes[item->level].list), finding_json(item));
    }
    json_object_set_new(root, "mappings", mappings);
    return root;
}

void checks_print_markdown(FILE *out)
{
    fputs("| rule | of | asks | what is well |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        size_t count;
        const struct checks_rule *rules = sources[i](&count);

        for (size_t j = 0; j < count; j++)
            fprintf(out, "| `%s` | %s | %s | %s |\n", rules[j].id,
                    rules[j].scope == CHECKS_MAPPING ? "mapping" : "connection",
                    asks_organisation(&rules[j]) ? "organisation" : "server", rules[j].title);
    }
}
