#include "tail/kept_slot.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "pg/pg.h"
#include "stream/blockers.h"
#include "stream/slot.h"
#include "tail/sink_stdout.h"

enum { RELEASE_MS = 5000, RELEASE_PAUSE_MS = 100 };

static bool refuse_archives(struct pg *pg, const char *name, struct error *err)
{
    PGresult *known PG_RESULT_AUTO =
        pg_query(pg,
                 "select coalesce(has_table_privilege(to_regclass('pgforce.progress'), 'select'),"
                 " false)",
                 PG_PARAMS(), err);

    if (known == NULL)
        return false;
    if (!pg_field_bool(known, 0, 0))
        return true;
    PGresult *archives PG_RESULT_AUTO =
        pg_query(pg, "select from pgforce.progress where slot_name = $1", PG_PARAMS(name), err);
    if (archives == NULL)
        return false;
    return PQntuples(archives) == 0 ||
           error_set(err, ERROR_USAGE,
                     "\"%s\" is the slot of `pgforce archive`: reading from it would take its"
                     " changes away",
                     name);
}

static bool create(struct pg *pg, const struct kept_slot *kept, struct error *err)
{
    struct blockers blockers = {.url = kept->url, .pid = PQbackendPID(pg_conn(pg))};
    struct pg_patience patience = {blockers_tell, &blockers};
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select lsn from pg_create_logical_replication_slot(");
    pg_append_literal(&sql, kept->name);
    buf_text(&sql, ", 'pgforce')");
    PGresult *result PG_RESULT_AUTO = pg_simple_patiently(pg, sql.data, &patience, err);
    blockers_done(&blockers);
    if (result == NULL) {
        slot_explain_error(err);
        return error_prefix(err, "creating the replication slot \"%s\"", kept->name);
    }
    log_info("created a slot: it keeps WAL until it is read or dropped",
             log_text("slot", kept->name), log_text("from", PQgetvalue(result, 0, 0)));
    return true;
}

static bool write_gap(struct sink *sink, lsn_t from, lsn_t to, const char *reason,
                      struct error *err)
{
    struct gap gap = {.from_lsn = from, .to_lsn = to, .reason = reason};

    return sink_stdout_write_gap(sink, &gap, err);
}

static bool read_current_lsn(struct pg *pg, lsn_t *lsn, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
                 " else pg_current_wal_lsn() end",
                 PG_PARAMS(), err);

    if (result != NULL)
        *lsn = pg_field_lsn(result, 0, 0);
    return result != NULL;
}

/* The slot is of no more use: the gap is told in the output, the remedy in the error. */
static bool report_loss(struct pg *pg, const struct kept_slot *kept, const struct slot *slot,
                        struct sink *sink, struct error *err)
{
    const char *reason = slot->exists ? "the server has invalidated the replication slot"
                                      : "the replication slot has been dropped";
    lsn_t from = kept->reached > slot->confirmed_lsn ? kept->reached : slot->confirmed_lsn;
    lsn_t now;

    if (!read_current_lsn(pg, &now, err) || !write_gap(sink, from, now, reason, err))
        return false;
    error_set(err, ERROR_CONFIG,
              "%s: changes after %s are lost to \"%s\". Drop it with --drop-slot if it is still"
              " there, and go on with a new one by --create-slot",
              reason, lsn_format(from).text, kept->name);
    return error_because(err, ERROR_CAUSE_GAP);
}

static bool check_position(const struct kept_slot *kept, const struct slot *slot, struct sink *sink,
                           struct error *err)
{
    if (kept->reached != 0 && slot->confirmed_lsn > kept->reached)
        return write_gap(sink, kept->reached, slot->confirmed_lsn,
                         "another reader has moved the replication slot on", err);
    if (kept->reached != 0 || kept->start_lsn == 0 || kept->start_lsn >= slot->confirmed_lsn)
        return true;
    return error_set(err, ERROR_USAGE,
                     "the slot \"%s\" has been read up to %s: it cannot begin at %s", kept->name,
                     lsn_format(slot->confirmed_lsn).text, lsn_format(kept->start_lsn).text);
}

static bool check_existing(struct pg *pg, const struct kept_slot *kept, const struct slot *slot,
                           struct sink *sink, struct error *err)
{
    if (!slot->exists && kept->reached == 0)
        return error_set(err, ERROR_CONFIG, "there is no slot \"%s\": --create-slot makes it",
                         kept->name);
    if (slot->exists && !slot->is_ours)
        return error_set(err, ERROR_CONFIG,
                         "the slot \"%s\" belongs to another database or another plugin (%s)",
                         kept->name, slot->plugin);
    if (!slot->exists || strcmp(slot->wal_status, "lost") == 0)
        return report_loss(pg, kept, slot, sink, err);
    return check_position(kept, slot, sink, err);
}

static bool prepare(struct pg *pg, const struct kept_slot *kept, struct sink *sink,
                    struct error *err)
{
    struct slot slot;

    if (!refuse_archives(pg, kept->name, err) || !slot_read(pg, kept->name, &slot, err))
        return false;
    if (kept->creates && !slot.exists)
        return create(pg, kept, err);
    if (kept->creates && !kept->accepts)
        return error_set(err, ERROR_CONFIG,
                         "the slot \"%s\" is there already: --if-not-exists accepts that",
                         kept->name);
    return check_existing(pg, kept, &slot, sink, err);
}

bool kept_slot_prepare(const struct kept_slot *kept, struct sink *sink, struct error *err)
{
    struct pg *pg = pg_open(kept->url, "pgforce tail", err);
    bool is_ok = pg != NULL && prepare(pg, kept, sink, err);

    pg_close(pg);
    return is_ok;
}

/* Who has just stopped reading it has it for a moment longer, in the server. */
static bool drop_when_free(struct pg *pg, const char *name, struct error *err)
{
    int64_t end_ms = clock_monotonic_ms() + RELEASE_MS;

    while (!pg_run(pg, "select pg_drop_replication_slot($1)", PG_PARAMS(name), err))
        if (strcmp(pg_sqlstate(pg), "55006") != 0 || clock_monotonic_ms() >= end_ms ||
            wait_for(-1, 0, RELEASE_PAUSE_MS) == WAIT_STOP)
            return false;
    return true;
}

bool kept_slot_drop(const char *url, const char *name, struct error *err)
{
    struct pg *pg = pg_open(url, "pgforce tail", err);
    bool is_ok = pg != NULL && refuse_archives(pg, name, err) && drop_when_free(pg, name, err);

    pg_close(pg);
    return is_ok;
}
