#include "control/watch.h"

#include <stdlib.h>
#include <string.h>

#include "archive/gap.h"
#include "archive/notification.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "control/teller.h"
#include "pg/turn.h"

enum {
    ROUND_MS = 3000,
    ROUNDS_A_LINE = 20,    /* of a database that stays away the log says so once a minute */
    FIRST_PAUSE_MS = 3000, /* after a telling that failed; doubles */
    LONGEST_PAUSE_MS = 10 * 60 * 1000,
    MAX_TOLD_AT_ONCE = 50,
    DROP_TRIES = 20,
    DROP_PAUSE_MS = 200,
};

struct watch {
    const struct watch_options *options;
    struct teller *teller;
    struct arena *arena; /* of a round */
    struct pg *pg;       /* NULL while the database is away */
    bool has_turn;
    json_t *seen; /* the causes of the last round, in the first one those that are stored */
    int64_t down_since_us;
    int down_rounds;
    bool is_down_told;
    char down_reason[ERROR_MESSAGE_BYTES];
    int pause_ms;
    int64_t tell_at_ms;
};

/* ---- what is the case ---- */

static bool look(struct watch *watch, struct checks_report *report, struct error *err)
{
    const struct watch_options *options = watch->options;
    const struct checks_target target = {.schema_name = options->schema_name,
                                         .app_role = options->app_role,
                                         .limits = options->limits,
                                         .pg = watch->pg,
                                         .is_for_notice_only = true};

    return checks_run(&target, watch->arena, report, err);
}

static const char *name_cause(struct watch *watch, const struct checks_finding *item)
{
    return item->object_name == NULL
               ? item->rule->id
               : arena_printf(watch->arena, "%s %s", item->rule->id, item->object_name);
}

/* Those that were there in the last round too. Two findings of one cause are one. */
static size_t choose(struct watch *watch, const struct checks_report *report,
                     struct notification *items)
{
    json_t *now = json_object();
    size_t count = 0;

    for (size_t i = 0; i < report->count; i++) {
        const struct checks_finding *item = &report->items[i];
        const char *cause = name_cause(watch, item);

        if (item->level > CHECKS_YELLOW || json_object_get(now, cause) != NULL)
            continue;
        json_object_set_new(now, cause, json_true());
        if (json_object_get(watch->seen, cause) != NULL)
            items[count++] = (struct notification){cause, item->rule->event_type, item->message};
    }
    json_decref(watch->seen);
    watch->seen = now;
    return count;
}

static bool agree(struct watch *watch, struct error *err)
{
    struct checks_report report;

    if (!look(watch, &report, err))
        return false;
    struct notification *items = arena_array(watch->arena, struct notification, report.count + 1);
    size_t count = choose(watch, &report, items);
    return notification_agree(watch->pg, watch->options->schema_name, items, count, err);
}

/* ---- telling ---- */

static bool mark_told(struct watch *watch, const char *id, bool is_over, struct error *err)
{
    return pg_run(watch->pg,
                  is_over ? "update pgforce.notification set told_resolved_at = now() where id = $1"
                          : "update pgforce.notification set told_at = now() where id = $1",
                  PG_PARAMS(id), err);
}

/* One telling per row; a failed one is tried again later, after a pause, and the others wait with
 * it: in order is easier to read than all at once. */
static bool tell_rows(struct watch *watch, const PGresult *rows, struct error *err)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        bool is_over = pg_field_bool(rows, i, 1);

        if (!teller_tell(watch->teller, PQgetvalue(rows, i, 2), err))
            return false;
        watch->pause_ms = 0;
        log_info("told an operator", log_text("cause", PQgetvalue(rows, i, 3)),
                 log_text("is", is_over ? "over" : "so"));
        if (!mark_told(watch, PQgetvalue(rows, i, 0), is_over, err))
            return false;
    }
    return true;
}

static void pause_telling(struct watch *watch, const struct error *err)
{
    log_warning("cannot tell an operator", log_text("reason", err->message));
    watch->pause_ms = watch->pause_ms == 0 ? FIRST_PAUSE_MS : watch->pause_ms * 2;
    if (watch->pause_ms > LONGEST_PAUSE_MS)
        watch->pause_ms = LONGEST_PAUSE_MS;
    watch->tell_at_ms = clock_monotonic_ms() + watch->pause_ms;
}

/* What began within the last day: who has just given a webhook does not want history. */
static const char untold_sql[] =
    "select n.id, over.is_over, jsonb_build_object('id', n.id, 'schema', n.schema_name,"
    " 'cause', n.cause, 'event_type', n.event_type, 'message', n.message,"
    " 'state', case when over.is_over then 'resolved' else 'began' end,"
    " 'created_at', n.created_at, 'resolved_at', case when over.is_over then n.resolved_at end),"
    " n.cause"
    " from pgforce.notification n"
    " cross join (values (false), (true)) as over(is_over)"
    " where n.schema_name = $1 and n.created_at > now() - interval '1 day'"
    " and case when over.is_over then n.resolved_at is not null and n.told_resolved_at is null"
    " else n.told_at is null end"
    " order by n.id, over.is_over"
    " limit $2";

static bool tell(struct watch *watch, struct error *err)
{
    if (!teller_has_listener(watch->teller) || clock_monotonic_ms() < watch->tell_at_ms)
        return true;
    PGresult *rows PG_RESULT_AUTO =
        pg_query(watch->pg, untold_sql,
                 PG_PARAMS(watch->options->schema_name, pg_number(MAX_TOLD_AT_ONCE).text), err);
    if (rows == NULL)
        return false;
    if (tell_rows(watch, rows, err))
        return true;
    if (PQstatus(pg_conn(watch->pg)) == CONNECTION_OK)
        pause_telling(watch, err);
    return PQstatus(pg_conn(watch->pg)) == CONNECTION_OK;
}

/* ---- the slot ---- */

static bool drop_slot(struct watch *watch, const char *slot_name, struct error *err)
{
    for (int i = 0; i < DROP_TRIES; i++) {
        if (pg_run(watch->pg,
                   "select case when active then pg_terminate_backend(active_pid) end"
                   " from pg_replication_slots where slot_name = $1",
                   PG_PARAMS(slot_name), err) &&
            pg_run(watch->pg,
                   "select pg_drop_replication_slot(slot_name)"
                   " from pg_replication_slots where slot_name = $1",
                   PG_PARAMS(slot_name), err))
            return true;
        if (wait_for(-1, 0, DROP_PAUSE_MS) == WAIT_STOP)
            return false;
    }
    return false;
}

/* The gap is recorded before the slot goes: the archive that finds none must know why. */
static bool give_up_slot(struct watch *watch, const PGresult *slot, struct error *err)
{
    const char *reason = arena_printf(
        watch->arena, "the slot retained %s of WAL, more than PGFORCE_SLOT_GIVE_UP_BYTES allows",
        PQgetvalue(slot, 0, 1));

    log_error("gives the slot up before the server's disk is full",
              log_text("slot", PQgetvalue(slot, 0, 0)),
              log_text("retained", PQgetvalue(slot, 0, 1)),
              log_text("remedy", "pgforce setup --accept-gap"));
    return gap_open(watch->pg, watch->options->schema_name, reason, err) &&
           drop_slot(watch, PQgetvalue(slot, 0, 0), err);
}

static bool guard_disk(struct watch *watch, struct error *err)
{
    if (watch->options->give_up_bytes == 0)
        return true;
    PGresult *slot PG_RESULT_AUTO = pg_query(
        watch->pg,
        "select s.slot_name, pg_size_pretty(pg_current_wal_lsn() - s.restart_lsn)"
        " from pgforce.progress p"
        " join pg_replication_slots s on s.slot_name = p.slot_name"
        " where p.schema_name = $1 and not pg_is_in_recovery()"
        " and s.database = current_database()"
        " and pg_current_wal_lsn() - s.restart_lsn >= $2::numeric",
        PG_PARAMS(watch->options->schema_name, pg_number(watch->options->give_up_bytes).text), err);
    return slot != NULL && (PQntuples(slot) == 0 || give_up_slot(watch, slot, err));
}

/* ---- the database ---- */

/* Told by itself: there is nowhere to store it. Once; its end is stored when there is. */
static void note_down(struct watch *watch, const struct error *why)
{
    struct error err = {0};

    if (watch->down_rounds++ == 0)
        watch->down_since_us = clock_wall_us();
    snprintf(watch->down_reason, sizeof(watch->down_reason), "%s", why->message);
    if (watch->down_rounds < 2 || watch->is_down_told || !teller_has_listener(watch->teller) ||
        clock_monotonic_ms() < watch->tell_at_ms)
        return;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s}", "schema", watch->options->schema_name, "cause",
        "MUST_REACH_DATABASE", "event_type", "postgres-connection", "message", watch->down_reason,
        "state", "began", "created_at", clock_format_utc(watch->down_since_us).text);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    watch->is_down_told = text != NULL && teller_tell(watch->teller, text, &err);
    if (text != NULL && !watch->is_down_told)
        pause_telling(watch, &err);
    free(text);
    json_decref(json);
}

static bool store_recovery(struct watch *watch, struct error *err)
{
    if (watch->down_rounds >= 2 &&
        !pg_run(watch->pg,
                "insert into pgforce.notification"
                " (schema_name, cause, event_type, message, created_at, resolved_at, told_at)"
                " values ($1, 'MUST_REACH_DATABASE', 'postgres-connection', $2, $3, now(),"
                " case when $4 = 'told' then now() end)",
                PG_PARAMS(watch->options->schema_name, watch->down_reason,
                          clock_format_utc(watch->down_since_us).text,
                          watch->is_down_told ? "told" : ""),
                err))
        return false;
    watch->down_rounds = 0;
    watch->is_down_told = false;
    return true;
}

/* What another process saw goes on: who has seen one round only would tell that it is over, and
 * then that it began again. */
static bool recall(struct watch *watch, struct error *err)
{
    PGresult *open PG_RESULT_AUTO = pg_query(
        watch->pg,
        "select cause from pgforce.notification where schema_name = $1 and resolved_at is null",
        PG_PARAMS(watch->options->schema_name), err);

    for (int i = 0; open != NULL && i < PQntuples(open); i++)
        json_object_set_new(watch->seen, PQgetvalue(open, i, 0), json_true());
    return open != NULL;
}

static bool connect(struct watch *watch, struct error *err)
{
    if (watch->pg == NULL)
        watch->pg = pg_open(watch->options->database_url, "pgforce watch", err);
    if (watch->pg == NULL)
        return false;
    if (!watch->has_turn)
        watch->has_turn =
            turn_take(watch->pg, "watch", watch->options->schema_name, err) && recall(watch, err);
    return watch->has_turn && store_recovery(watch, err);
}

static bool run_round(struct watch *watch, struct error *err)
{
    arena_reset(watch->arena);
    return connect(watch, err) && guard_disk(watch, err) && agree(watch, err) && tell(watch, err);
}

static bool is_away(const struct watch *watch)
{
    return watch->pg == NULL || PQstatus(pg_conn(watch->pg)) != CONNECTION_OK;
}

/* A database that is away is what this role is for; only what an operator must mend ends it. */
static bool handle_failure(struct watch *watch, const struct error *why)
{
    if (wait_is_stopping())
        return true;
    if (is_away(watch) || why->kind == ERROR_RETRY) {
        if (is_away(watch))
            note_down(watch, why);
        if (watch->down_rounds == 0 || watch->down_rounds % ROUNDS_A_LINE == 1)
            log_warning("cannot look", log_text("reason", why->message));
        pg_close(watch->pg);
        watch->pg = NULL;
        watch->has_turn = false;
        return true;
    }
    return false;
}

static bool run_until_stopped(struct watch *watch, struct error *err)
{
    while (!wait_is_stopping()) {
        if (!run_round(watch, err) && !handle_failure(watch, err))
            return false;
        wait_for(-1, 0, ROUND_MS);
    }
    return true;
}

bool watch_run(const struct watch_options *options, struct error *err)
{
    struct watch watch = {.options = options, .arena = arena_new(), .seen = json_object()};

    watch.teller = teller_new(options->notify_url, options->notify_command, err);
    bool is_ok = watch.teller != NULL && run_until_stopped(&watch, err);
    teller_free(watch.teller);
    pg_close(watch.pg);
    json_decref(watch.seen);
    arena_free(watch.arena);
    return is_ok;
}
