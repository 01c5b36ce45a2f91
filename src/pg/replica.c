#include "pg/replica.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/wait.h"
#include "pg/pg.h"

enum {
    XLOG_DATA_HEADER_BYTES = 1 + 8 + 8 + 8,
    KEEPALIVE_BYTES = 1 + 8 + 8 + 1,
    STATUS_BYTES = 1 + 8 + 8 + 8 + 8 + 1,
};

/* Seconds from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins. */
static const int64_t POSTGRES_EPOCH_S = 946684800;

struct replica {
    struct pg *pg;
    char *received; /* libpq's copy of the last message */
};

struct replica *replica_open(const char *url, const char *application_name, struct error *err)
{
    struct pg *pg = pg_open_replication(url, application_name, err);

    if (pg == NULL)
        return NULL;
    struct replica *replica = memory_alloc(sizeof(*replica));
    replica->pg = pg;
    return replica;
}

void replica_close(struct replica *replica)
{
    if (replica == NULL)
        return;
    PQfreemem(replica->received);
    pg_close(replica->pg);
    free(replica);
}

static bool identify(struct replica *replica, struct replica_system *system, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_simple(replica->pg, "IDENTIFY_SYSTEM", err);

    if (result == NULL)
        return false;
    snprintf(system->identifier, sizeof(system->identifier), "%s", PQgetvalue(result, 0, 0));
    system->timeline = (int)pg_field_int64(result, 0, 1);
    system->flushed_lsn = pg_field_lsn(result, 0, 2);
    return true;
}

bool replica_identify(const char *url, const char *application_name, struct replica_system *system,
                      struct error *err)
{
    struct replica *replica = replica_open(url, application_name, err);
    bool is_ok = replica != NULL && identify(replica, system, err);

    replica_close(replica);
    return is_ok;
}

bool replica_server_patience(struct replica *replica, int *timeout_ms, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_simple(
        replica->pg, "select setting from pg_settings where name = 'wal_sender_timeout'", err);

    if (result == NULL)
        return false;
    *timeout_ms = (int)pg_field_int64(result, 0, 0);
    return true;
}

int replica_server_pid(const struct replica *replica)
{
    return PQbackendPID(pg_conn(replica->pg));
}

bool replica_create_temporary_slot(struct replica *replica, const char *slot_name,
                                   const struct pg_patience *patience, lsn_t *consistent_lsn,
                                   struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "CREATE_REPLICATION_SLOT ");
    pg_append_identifier(&sql, slot_name);
    buf_text(&sql, " TEMPORARY LOGICAL pgforce NOEXPORT_SNAPSHOT");
    PGresult *result PG_RESULT_AUTO = pg_simple_patiently(replica->pg, sql.data, patience, err);
    if (result == NULL)
        return false;
    *consistent_lsn = pg_field_lsn(result, 0, 1);
    return true;
}

/* The replication grammar knows no E'' strings: only the quote is doubled. */
static void append_literal(struct buf *sql, const char *text)
{
    buf_char(sql, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_char(sql, '\'');
        buf_char(sql, *text);
    }
    buf_char(sql, '\'');
}

bool replica_start(struct replica *replica, const char *slot_name, lsn_t from_lsn,
                   const struct replica_option *options, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1 << 20);
    buf_text(&sql, "START_REPLICATION SLOT ");
    pg_append_identifier(&sql, slot_name);
    buf_printf(&sql, " LOGICAL %s", lsn_format(from_lsn).text);
    for (const struct replica_option *option = options; option->name != NULL; option++) {
        buf_text(&sql, option == options ? " (" : ", ");
        pg_append_identifier(&sql, option->name);
        buf_char(&sql, ' ');
        append_literal(&sql, option->value);
    }
    if (options->name != NULL)
        buf_char(&sql, ')');
    return pg_script(replica->pg, sql.data, err);
}

static uint64_t read_int64(const char *bytes)
{
    uint64_t number;

    memcpy(&number, bytes, sizeof(number));
    return be64toh(number);
}

static void write_int64(char *bytes, uint64_t number)
{
    number = htobe64(number);
    memcpy(bytes, &number, sizeof(number));
}

static enum replica_result parse_message(const char *bytes, size_t size_bytes,
                                         struct replica_message *message, struct error *err)
{
    if (size_bytes >= XLOG_DATA_HEADER_BYTES && bytes[0] == 'w') {
        *message = (struct replica_message){.data = bytes + XLOG_DATA_HEADER_BYTES,
                                            .size_bytes = size_bytes - XLOG_DATA_HEADER_BYTES,
                                            .wal_end = read_int64(bytes + 9)};
        return REPLICA_DATA;
    }
    if (size_bytes >= KEEPALIVE_BYTES && bytes[0] == 'k') {
        *message = (struct replica_message){.wal_end = read_int64(bytes + 1),
                                            .is_reply_wanted = bytes[17] != 0};
        return REPLICA_KEEPALIVE;
    }
    error_set(err, ERROR_BUG, "the server sent a replication message of an unknown kind (0x%02x)",
              size_bytes > 0 ? (unsigned char)bytes[0] : 0);
    return REPLICA_ERROR;
}

/* After CopyDone or an error: what did the server say last? */
static enum replica_result read_end(struct replica *replica, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = PQgetResult(pg_conn(replica->pg));

    if (result == NULL || PQresultStatus(result) == PGRES_COPY_IN ||
        PQresultStatus(result) == PGRES_COMMAND_OK)
        return REPLICA_END;
    pg_set_error(replica->pg, result, err);
    return REPLICA_ERROR;
}

/* Takes one message out of libpq's buffer, without waiting. */
static enum replica_result take_message(struct replica *replica, struct replica_message *message,
                                        struct error *err)
{
    PQfreemem(replica->received);
    replica->received = NULL;

    int size_bytes = PQgetCopyData(pg_conn(replica->pg), &replica->received, 1);
    if (size_bytes > 0)
        return parse_message(replica->received, (size_t)size_bytes, message, err);
    if (size_bytes == 0)
        return REPLICA_TIMEOUT;
    if (size_bytes == -1)
        return read_end(replica, err);
    pg_set_error(replica->pg, NULL, err);
    return REPLICA_ERROR;
}

enum replica_result replica_receive(struct replica *replica, int timeout_ms,
                                    struct replica_message *message, struct error *err)
{
    PGconn *conn = pg_conn(replica->pg);
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    for (;;) {
        enum replica_result taken = take_message(replica, message, err);
        if (taken != REPLICA_TIMEOUT)
            return taken;

        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        switch (wait_for(PQsocket(conn), POLLIN, left_ms > 0 ? (int)left_ms : 0)) {
        case WAIT_STOP: return REPLICA_STOP;
        case WAIT_TIMEOUT: return REPLICA_TIMEOUT;
        case WAIT_READY: break;
        }
        if (!PQconsumeInput(conn)) {
            pg_set_error(replica->pg, NULL, err);
            return REPLICA_ERROR;
        }
    }
}

bool replica_confirm(struct replica *replica, const struct replica_status *status,
                     struct error *err)
{
    char bytes[STATUS_BYTES] = {'r'};
    uint64_t now_us = (uint64_t)(clock_wall_us() - POSTGRES_EPOCH_S * 1000000);

    FAILPOINT("confirm_before");
    write_int64(bytes + 1, status->received_lsn);
    write_int64(bytes + 9, status->durable_lsn);
    write_int64(bytes + 17, status->durable_lsn);
    write_int64(bytes + 25, now_us);
    bytes[33] = (char)status->wants_reply;
    if (PQputCopyData(pg_conn(replica->pg), bytes, STATUS_BYTES) != 1 ||
        PQflush(pg_conn(replica->pg)) != 0)
        return pg_set_error(replica->pg, NULL, err);
    FAILPOINT("confirm_after");
    return true;
}
