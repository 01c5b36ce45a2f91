#include "stream/slot.h"

#include <stdio.h>
#include <string.h>

#include "stream/blockers.h"

bool slot_read(struct pg *pg, const char *slot_name, struct slot *slot, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select plugin, coalesce(wal_status, ''), restart_lsn, confirmed_flush_lsn,"
        " active_pid, coalesce(plugin = 'pgforce' and database = current_database(), false)"
        " from pg_replication_slots"
        " where slot_name = $1",
        PG_PARAMS(slot_name), err);

    *slot = (struct slot){0};
    if (result == NULL)
        return false;
    snprintf(slot->name, sizeof(slot->name), "%s", slot_name);
    slot->exists = PQntuples(result) > 0;
    if (!slot->exists)
        return true;
    snprintf(slot->plugin, sizeof(slot->plugin), "%s", PQgetvalue(result, 0, 0));
    snprintf(slot->wal_status, sizeof(slot->wal_status), "%s", PQgetvalue(result, 0, 1));
    slot->restart_lsn = pg_field_lsn(result, 0, 2);
    slot->confirmed_lsn = pg_field_lsn(result, 0, 3);
    slot->active_pid = (int)pg_field_int64(result, 0, 4);
    slot->is_ours = pg_field_bool(result, 0, 5);
    return true;
}

/* What the server says when it refuses a slot, and what to do. SQLSTATEs: slot.c and logical.c. */
static const struct {
    const char *sqlstate;
    const char *sign; /* a word of the message that is the same in every language; NULL for any */
    enum error_kind kind;
    enum error_cause cause;
    const char *remedy;
} refusals[] = {
    {"42501", "output_plugin_libraries", ERROR_CONFIG, ERROR_CAUSE_ANY,
     "allow the plugin for this role, as a superuser: ALTER ROLE <role> SET"
     " output_plugin_libraries = pgforce; (or for the server: ALTER SYSTEM SET"
     " output_plugin_libraries = pgoutput, test_decoding, pgforce; and reload)"},
    {"42501", "replication slots", ERROR_CONFIG, ERROR_CAUSE_ANY,
     "as a superuser: ALTER ROLE <role> REPLICATION;"},
    {"42501", "replication role", ERROR_CONFIG, ERROR_CAUSE_ANY,
     "as a superuser: ALTER ROLE <role> REPLICATION;"},
    {"55000", "wal_level", ERROR_CONFIG, ERROR_CAUSE_ANY,
     "as a superuser: ALTER SYSTEM SET wal_level = logical; and restart the server"},
    {"58P01", NULL, ERROR_CONFIG, ERROR_CAUSE_ANY,
     "install pgforce.so in the server's library folder (pg_config --pkglibdir)"},
    {"53400", NULL, ERROR_CONFIG, ERROR_CAUSE_ANY,
     "all replication slots are in use: raise max_replication_slots and restart the server"},
    {"42704", NULL, ERROR_CONFIG, ERROR_CAUSE_ANY,
     "the slot or an origin is missing: run `pgforce setup`"},
    {"55006", NULL, ERROR_RETRY, ERROR_CAUSE_HELD, "stop the other process that reads this slot"},
};

bool slot_explain_error(struct error *err)
{
    struct error said = *err;
    char sqlstate[32];

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        snprintf(sqlstate, sizeof(sqlstate), "(SQLSTATE %s)", refusals[i].sqlstate);
        if (strstr(said.message, sqlstate) == NULL)
            continue;
        if (refusals[i].sign != NULL && strstr(said.message, refusals[i].sign) == NULL)
            continue;
        error_set(err, refusals[i].kind, "%s; the remedy: %s", said.message, refusals[i].remedy);
        return error_because(err, refusals[i].cause);
    }
    return false;
}

bool slot_create(struct pg *pg, const char *url, const char *slot_name, lsn_t *consistent_lsn,
                 struct error *err)
{
    struct blockers blockers = {.url = url, .pid = PQbackendPID(pg_conn(pg))};
    struct pg_patience patience = {blockers_tell, &blockers};
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select lsn from pg_create_logical_replication_slot(");
    pg_append_literal(&sql, slot_name);
    buf_text(&sql, ", 'pgforce'");
    /* From 17 on a slot can follow its database to a standby. */
    buf_text(&sql, PQserverVersion(pg_conn(pg)) >= 170000 ? ", failover => true)" : ")");
    PGresult *result PG_RESULT_AUTO = pg_simple_patiently(pg, sql.data, &patience, err);
    blockers_done(&blockers);
    if (result == NULL) {
        slot_explain_error(err);
        return error_prefix(err, "creating the replication slot \"%s\"", slot_name);
    }
    *consistent_lsn = pg_field_lsn(result, 0, 0);
    return true;
}

/* Every way in which changes can have been lost ends in the same advice. */
static bool report_gap(const struct slot *slot, struct error *err, const char *what)
{
    error_set(err, ERROR_CONFIG,
              "changes may have been lost: %s. Nothing has been skipped yet. Run `pgforce setup"
              " --accept-gap` to go on from here with a new slot \"%s\", then compare the mapped"
              " tables with the organisation",
              what, slot->name);
    return error_because(err, ERROR_CAUSE_GAP);
}

bool slot_verify(const struct slot *slot, const char *system_identifier,
                 const struct progress *progress, struct error *err)
{
    char what[256];

    if (strcmp(system_identifier, progress->system_identifier) != 0) {
        snprintf(what, sizeof(what),
                 "this is another server (system identifier %s) than the one of the stored progress"
                 " (%s)",
                 system_identifier, progress->system_identifier);
        return report_gap(slot, err, what);
    }
    if (!slot->exists)
        return report_gap(slot, err, "the replication slot is missing");
    if (!slot->is_ours)
        return error_set(err, ERROR_CONFIG,
                         "the replication slot \"%s\" belongs to another database or another plugin"
                         " (%s): drop it, or choose another PGFORCE_SCHEMA",
                         slot->name, slot->plugin);
    if (strcmp(slot->wal_status, "lost") == 0)
        return report_gap(slot, err,
                          "the server has invalidated the replication slot (it was more than"
                          " max_slot_wal_keep_size behind)");
    if (slot->confirmed_lsn > progress->commit_end_lsn) {
        snprintf(what, sizeof(what), "the slot has been confirmed up to %s, the log holds up to %s",
                 lsn_format(slot->confirmed_lsn).text, lsn_format(progress->commit_end_lsn).text);
        return report_gap(slot, err, what);
    }
    return true;
}

/*
 * Asks the setting rather than pg_stat_replication: the latter knows only once we stream, when a
 * COMMIT may already wait for us. Names are compared as the server does, without case.
 * Source: PostgreSQL documentation, synchronous_standby_names.
 */
bool slot_refuse_synchronous(struct pg *pg, const char *application_name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select current_setting('synchronous_standby_names')"
        " from regexp_split_to_table("
        "lower(regexp_replace(current_setting('synchronous_standby_names'),"
        " '^\\s*(first|any)?\\s*\\d+\\s*\\((.*)\\)\\s*$', '\\2', 'i')), '\\s*,\\s*') as name"
        " where btrim(name, ' \"') in ('*', lower($1))",
        PG_PARAMS(application_name), err);

    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "synchronous_standby_names is '%s', which would make pgforce a synchronous"
                     " standby: every COMMIT would wait for it, and it for a COMMIT. Name the real"
                     " standbys there instead of '*' (pgforce connects as \"%s\")",
                     PQgetvalue(result, 0, 0), application_name);
}
