/*
 * The streaming replication protocol, as a receiver of a logical slot.
 *
 * It starts a slot, hands out the plugin's bytes as they come, and reports what has been made
 * durable. It never decides a position: the caller says where to start and what to confirm.
 *
 * Wire format (PostgreSQL documentation, "Streaming Replication Protocol"), all integers
 * big-endian:
 *
 *     server: 'w'  int64 start  int64 wal_end  int64 sent_at  bytes      XLogData
 *             'k'  int64 wal_end  int64 sent_at  byte reply_now          keepalive
 *     client: 'r'  int64 written  int64 flushed  int64 applied
 *                  int64 sent_at  byte reply_now                         status update
 *
 * Times are microseconds since 2000-01-01. The LSNs of XLogData are ignored: with batching they may
 * go backwards, and positions come from Commit events and keepalives.
 */
#ifndef PGFORCE_PG_REPLICA_H
#define PGFORCE_PG_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/lsn.h"
#include "pg/pg.h"

struct replica;

/* Opens a connection in replication mode with the same url as pg_open. */
struct replica *replica_open(const char *url, const char *application_name, struct error *err);
void replica_close(struct replica *replica);

struct replica_system {
    char identifier[32]; /* a 64-bit number in decimal */
    int timeline;
    lsn_t flushed_lsn;
};

/* Over a connection of its own. */
bool replica_identify(const char *url, const char *application_name, struct replica_system *system,
                      struct error *err);

/*
 * Creates a temporary slot that goes with the connection; consistent_lsn is where it begins. The
 * server waits for the end of all transactions that are open, and meanwhile patience is told.
 */
bool replica_create_temporary_slot(struct replica *replica, const char *slot_name,
                                   const struct pg_patience *patience, lsn_t *consistent_lsn,
                                   struct error *err);

/* After how long a silence of ours the server hangs up (wal_sender_timeout); 0 for never. Before
 * replica_start. */
bool replica_server_patience(struct replica *replica, int *timeout_ms, struct error *err);

/* The server's process for this connection. */
int replica_server_pid(const struct replica *replica);

struct replica_option {
    const char *name; /* NULL ends the list */
    const char *value;
};

/*
 * Starts streaming from the slot. The server begins at the later of from_lsn and the slot's own
 * confirmed position, silently: the caller must have compared them (reliability: a gap is never
 * passed in silence). A slot in use by another process is ERROR_RETRY and names that process.
 */
bool replica_start(struct replica *replica, const char *slot_name, lsn_t from_lsn,
                   const struct replica_option *options, struct error *err);

enum replica_result {
    REPLICA_DATA,      /* data and size_bytes are the plugin's; valid until the next call */
    REPLICA_KEEPALIVE, /* wal_end: all before it has been sent */
    REPLICA_TIMEOUT,   /* nothing came in timeout_ms */
    REPLICA_STOP,      /* the process was told to stop */
    REPLICA_END,       /* the server ended the stream (it is shutting down) */
    REPLICA_ERROR,     /* *err is set */
};

struct replica_message {
    const char *data;
    size_t size_bytes;
    lsn_t wal_end;
    bool is_reply_wanted;
};

enum replica_result replica_receive(struct replica *replica, int timeout_ms,
                                    struct replica_message *message, struct error *err);

struct replica_status {
    lsn_t received_lsn; /* everything before it has come */
    lsn_t durable_lsn;  /* everything before it is safe with us */
    bool wants_reply;   /* a keepalive is to come at once, to show that the server is there */
};

/* Without received_lsn, an idle server that has sent more than is durable asks again at once, for
 * ever. */
bool replica_confirm(struct replica *replica, const struct replica_status *status,
                     struct error *err);

#endif
