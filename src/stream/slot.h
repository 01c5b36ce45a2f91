/*
 * A logical replication slot, and whether it still continues what we have.
 *
 * A slot that is missing, invalidated, of another server or ahead of the stored progress means that
 * changes were lost to us. That is said and never passed in silence: PostgreSQL itself would start
 * a stream there without a word.
 */
#ifndef PGFORCE_STREAM_SLOT_H
#define PGFORCE_STREAM_SLOT_H

#include "archive/progress.h"
#include "base/error.h"
#include "base/lsn.h"
#include "pg/pg.h"

struct slot {
    char name[64];
    char plugin[64];
    char wal_status[16]; /* "reserved", "extended", "unreserved", "lost"; "" if unknown */
    lsn_t restart_lsn;
    lsn_t confirmed_lsn;
    int active_pid; /* 0 if nobody reads it */
    bool exists;
    bool is_ours; /* in this database, logical, with our plugin */
};

bool slot_read(struct pg *pg, const char *slot_name, struct slot *slot, struct error *err);

/*
 * Creates the slot. The server waits for the end of all transactions that are open; which ones is
 * asked through url and logged. ERROR_CONFIG names the statement to run where the server refuses:
 * wal_level, the plugin not installed or not on the allow-list, no free slot, no REPLICATION.
 */
bool slot_create(struct pg *pg, const char *url, const char *slot_name, lsn_t *consistent_lsn,
                 struct error *err);

/* Adds the remedy to an error of making or starting a slot, and makes it ERROR_CONFIG where only
 * the operator can act. Answers false. */
bool slot_explain_error(struct error *err);

/* Compares the slot and the server with the stored progress. ERROR_CONFIG says what was lost. */
bool slot_verify(const struct slot *slot, const char *system_identifier,
                 const struct progress *progress, struct error *err);

/*
 * Our walsender must never be a synchronous standby: with it, a COMMIT would wait for a
 * confirmation that itself waits for that COMMIT. ERROR_CONFIG when the server's settings would
 * make it one.
 */
bool slot_refuse_synchronous(struct pg *pg, const char *application_name, struct error *err);

#endif
