#include "pg/pg.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/wait.h"

enum { PATIENCE_MS = 500, PREPARED_MAX = 8 };

struct pg {
    PGconn *conn;
    struct pg_patience patience; /* tell is NULL: nobody wants to hear */
    struct pg_waiter waiter;     /* wait is NULL: there is none */
    const char *prepared[PREPARED_MAX];
    size_t prepared_count;
    char sqlstate[6];
};

/*
 * synchronous_commit is set here because a role may carry `off`, and a crash could then lose what
 * the rest of the world has been told already. A role's time limits are for its people, not for a
 * session that may be quiet for days. Without the server's own keepalives, a session of ours whose
 * host has vanished would hold its replication origin for hours. Compiling a statement of ours
 * (JIT) takes a hundred times as long as running it, and on a table without statistics the server
 * means to: a poll of five rows took seconds.
 */
static const char *const session_settings = "set timezone = 'UTC';"
                                            "set datestyle = 'ISO, YMD';"
                                            "set intervalstyle = 'postgres';"
                                            "set extra_float_digits = 1;"
                                            "set bytea_output = 'hex';"
                                            "set synchronous_commit = on;"
                                            "set lock_timeout = " PG_LOCK_TIMEOUT ";"
                                            "set statement_timeout = 0;"
                                            "set idle_in_transaction_session_timeout = 0;"
                                            "set idle_session_timeout = 0;"
                                            "set default_transaction_isolation = 'read committed';"
                                            "set tcp_keepalives_idle = 30;"
                                            "set tcp_keepalives_interval = 10;"
                                            "set tcp_keepalives_count = 3;"
                                            "set tcp_user_timeout = '60s';"
                                            "set jit = off;"
                                            "set search_path = pg_catalog;"
                                            "set client_min_messages = warning;"
                                            "set default_transaction_read_only = off;"
                                            "set default_transaction_deferrable = off;";

/* What each class of SQLSTATE asks of us; the first match wins. Source: PostgreSQL, appendix A. */
static const struct {
    const char *prefix;
    enum error_kind kind;
} sqlstate_kinds[] = {
    {"08", ERROR_RETRY},     /* connection */
    {"28", ERROR_CONFIG},    /* authorization */
    {"22", ERROR_RECORD},    /* data */
    {"23", ERROR_RECORD},    /* constraint */
    {"25006", ERROR_RETRY},  /* read-only: a standby, for now */
    {"3D000", ERROR_CONFIG}, /* no such database */
    {"3F000", ERROR_CONFIG}, /* no such schema */
    {"40", ERROR_RETRY},     /* serialization, deadlock */
    {"42501", ERROR_CONFIG}, /* privilege */
    {"42P01", ERROR_CONFIG}, /* no such table */
    {"42703", ERROR_CONFIG}, /* no such column */
    {"42704", ERROR_CONFIG}, /* no such object: a slot, an origin */
    /* Somebody has changed what a statement is about: a column's type, a view for a table, an
       index. */
    {"42804", ERROR_CONFIG}, /* another type */
    {"42809", ERROR_CONFIG}, /* another kind of object */
    {"42846", ERROR_CONFIG}, /* no such cast */
    {"42883", ERROR_CONFIG}, /* no such operator or function */
    {"42P10", ERROR_CONFIG}, /* no such unique index */
    {"53", ERROR_RETRY},     /* resources */
    {"55", ERROR_RETRY},     /* in use, lock not available */
    {"57", ERROR_RETRY},     /* shutdown, cancelled */
    {"58", ERROR_RETRY},     /* the server's system */
    {"P0001", ERROR_RECORD}, /* raised by a user's function */
};

static enum error_kind kind_of_sqlstate(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof(sqlstate_kinds) / sizeof(sqlstate_kinds[0]); i++)
        if (strncmp(sqlstate, sqlstate_kinds[i].prefix, strlen(sqlstate_kinds[i].prefix)) == 0)
            return sqlstate_kinds[i].kind;
    return ERROR_BUG;
}

/* libpq ends its messages with a line break; a log line must not have one. */
static void trim_line_breaks(char *message)
{
    size_t length = strlen(message);

    while (length > 0 && message[length - 1] == '\n')
        message[--length] = '\0';
    for (char *at = message; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
}

/* In the words of PostgreSQL up to 15, and since 16. */
static bool is_about_replication_right(const char *message)
{
    return strstr(message, "replication role") != NULL ||
           strstr(message, "REPLICATION attribute") != NULL;
}

/*
 * A refused connection has no SQLSTATE in libpq's interface, only its words. The server's own
 * refusals about who we are need the operator; all else (down, starting, too many connections) may
 * pass.
 */
static bool needs_operator(PGconn *conn)
{
    static const char *const signs[] = {"authentication", "does not exist", "no pg_hba.conf entry"};
    const char *message = PQerrorMessage(conn);

    if (conn == NULL || PQconnectionNeedsPassword(conn))
        return true;
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strstr(message, signs[i]) != NULL && strstr(message, "FATAL") != NULL)
            return true;
    return is_about_replication_right(message) ||
           strstr(message, "invalid connection option") != NULL ||
           strstr(message, "missing \"=\"") != NULL || strstr(message, "invalid URI") != NULL ||
           strstr(message, "invalid port") != NULL;
}

static const char *connection_remedy(PGconn *conn)
{
    return is_about_replication_right(PQerrorMessage(conn))
               ? "as a superuser: ALTER ROLE <role> REPLICATION;"
               : "check PGFORCE_DATABASE_URL";
}

static bool set_connection_error(PGconn *conn, struct error *err)
{
    enum error_kind kind = needs_operator(conn) ? ERROR_CONFIG : ERROR_RETRY;

    error_set(err, kind, "cannot connect to PostgreSQL: %s", PQerrorMessage(conn));
    trim_line_breaks(err->message);
    if (kind == ERROR_CONFIG) {
        struct error said = *err;

        return error_set(err, kind, "%s (%s)", said.message, connection_remedy(conn));
    }
    return error_because(err, ERROR_CAUSE_UNREACHABLE);
}

/* Keywords after dbname win over the same ones inside url. */
static struct pg *open_connection(const char *url, const char *application_name,
                                  const char *replication, struct error *err)
{
    static const char *const keywords[] = {"connect_timeout",           "keepalives_idle",
                                           "keepalives_interval",       "keepalives_count",
                                           "tcp_user_timeout",          "dbname",
                                           "client_encoding",           "replication",
                                           "fallback_application_name", NULL};
    const char *const values[] = {
        "10", "30", "10", "3", "60000", url, "UTF8", replication, application_name, NULL};
    struct pg *pg = memory_alloc(sizeof(*pg));

    pg->conn = memory_or_die(PQconnectdbParams(keywords, values, 1), 0);
    if (PQstatus(pg->conn) != CONNECTION_OK) {
        set_connection_error(pg->conn, err);
        pg_close(pg);
        return NULL;
    }
    if (!pg_script(pg, session_settings, err)) {
        pg_close(pg);
        return NULL;
    }
    return pg;
}

struct pg *pg_open(const char *url, const char *application_name, struct error *err)
{
    return open_connection(url, application_name, "false", err);
}

struct pg *pg_open_replication(const char *url, const char *application_name, struct error *err)
{
    return open_connection(url, application_name, "database", err);
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    PQfinish(pg->conn);
    free(pg);
}

PGconn *pg_conn(struct pg *pg)
{
    return pg->conn;
}

const char *pg_sqlstate(const struct pg *pg)
{
    return pg->sqlstate;
}

bool pg_set_error(struct pg *pg, const PGresult *result, struct error *err)
{
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *hint = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
    const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (sqlstate == NULL || text == NULL) {
        pg->sqlstate[0] = '\0';
        error_set(err, ERROR_RETRY, "lost the connection to PostgreSQL: %s",
                  PQerrorMessage(pg->conn));
    } else {
        snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate);
        error_set(err, kind_of_sqlstate(sqlstate), "PostgreSQL says: %s%s%s%s (SQLSTATE %s)", text,
                  hint != NULL ? " (" : "", hint != NULL ? hint : "", hint != NULL ? ")" : "",
                  sqlstate);
    }
    trim_line_breaks(err->message);
    return false;
}

/* Hands the result on, or turns it into an error. */
static PGresult *check_result(struct pg *pg, PGresult *result, struct error *err)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: pg->sqlstate[0] = '\0'; return result;
    default:
        pg_set_error(pg, result, err);
        PQclear(result);
        return NULL;
    }
}

static bool is_patient(const struct pg *pg)
{
    return pg->patience.tell != NULL || pg->waiter.wait != NULL;
}

void pg_set_patience(struct pg *pg, const struct pg_patience *patience)
{
    pg->patience = *patience;
    PQsetnonblocking(pg->conn, is_patient(pg));
}

void pg_set_waiter(struct pg *pg, const struct pg_waiter *waiter)
{
    pg->waiter = waiter != NULL ? *waiter : (struct pg_waiter){0};
    PQsetnonblocking(pg->conn, is_patient(pg));
}

/*
 * Waits for the socket as libpq would, whether or not the process is told to stop: what was asked
 * of the server is finished first, within lock_timeout.
 */
static void wait_for_socket(struct pg *pg, short events)
{
    struct pollfd socket = {.fd = PQsocket(pg->conn), .events = events};

    if (pg->waiter.wait != NULL)
        pg->waiter.wait(pg->waiter.context, socket.fd, events);
    else if (poll(&socket, 1, PATIENCE_MS) == 0)
        pg->patience.tell(pg->patience.context);
}

/* Until libpq's buffer is with the kernel. What comes meanwhile is read, or both sides would wait.
 */
static bool send_all(struct pg *pg)
{
    int left;

    while ((left = PQflush(pg->conn)) > 0) {
        wait_for_socket(pg, POLLIN | POLLOUT);
        if (!PQconsumeInput(pg->conn))
            return false;
    }
    return left == 0;
}

/* After it, PQgetResult does not block. A lost connection is for PQgetResult to tell. */
static void await_answer(struct pg *pg)
{
    if (!is_patient(pg) || !send_all(pg))
        return;
    while (PQisBusy(pg->conn)) {
        wait_for_socket(pg, POLLIN);
        if (!PQconsumeInput(pg->conn))
            return;
    }
}

PGresult *pg_next_result(struct pg *pg)
{
    await_answer(pg);
    return PQgetResult(pg->conn);
}

/* The last result, as PQexec: a COPY that has begun is the end of it. */
static PGresult *take_results(struct pg *pg)
{
    PGresult *last = NULL;
    PGresult *next;

    while ((next = pg_next_result(pg)) != NULL) {
        ExecStatusType status = PQresultStatus(next);

        PQclear(last);
        last = next;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            break;
    }
    return last;
}

bool pg_put_copy(struct pg *pg, const char *data, size_t size_bytes, struct error *err)
{
    bool is_put =
        PQputCopyData(pg->conn, data, (int)size_bytes) == 1 && (!is_patient(pg) || send_all(pg));

    return is_put || pg_set_error(pg, NULL, err);
}

#ifdef PGFORCE_FAILPOINTS
/* Once it is done something may be there for good. */
static bool may_be_durable(const struct pg *pg, const char *sql)
{
    return PQtransactionStatus(pg->conn) == PQTRANS_IDLE || strcmp(sql, "commit") == 0;
}
#endif

bool pg_send(struct pg *pg, const char *sql, struct pg_params params, struct error *err)
{
    bool is_sent =
        PQsendQueryParams(pg->conn, sql, params.count, NULL, params.values, NULL, NULL, 0) == 1 &&
        (!is_patient(pg) || send_all(pg));

    return is_sent || pg_set_error(pg, NULL, err);
}

PGresult *pg_receive(struct pg *pg, struct error *err)
{
    return check_result(pg, take_results(pg), err);
}

static PGresult *query(struct pg *pg, const char *sql, struct pg_params params, struct error *err)
{
    if (!is_patient(pg))
        return check_result(
            pg, PQexecParams(pg->conn, sql, params.count, NULL, params.values, NULL, NULL, 0), err);
    return pg_send(pg, sql, params, err) ? pg_receive(pg, err) : NULL;
}

PGresult *pg_query(struct pg *pg, const char *sql, struct pg_params params, struct error *err)
{
    FAILPOINT_IF(may_be_durable(pg, sql), "commit_before");
    PGresult *result = query(pg, sql, params, err);
    FAILPOINT_IF(PQtransactionStatus(pg->conn) == PQTRANS_IDLE, "commit_after");
    return result;
}

static bool is_prepared(const struct pg *pg, const char *name)
{
    for (size_t i = 0; i < pg->prepared_count; i++)
        if (strcmp(pg->prepared[i], name) == 0)
            return true;
    return false;
}

/* What does not fit is prepared for nothing but this time. */
static bool prepare(struct pg *pg, const char *name, const char *sql, struct error *err)
{
    bool is_kept = pg->prepared_count < PREPARED_MAX;

    if (is_prepared(pg, name))
        return true;
    if (!PQsendPrepare(pg->conn, is_kept ? name : "", sql, 0, NULL))
        return pg_set_error(pg, NULL, err);
    PGresult *result PG_RESULT_AUTO = check_result(pg, take_results(pg), err);
    if (result != NULL && is_kept)
        pg->prepared[pg->prepared_count++] = name;
    return result != NULL;
}

PGresult *pg_query_prepared(struct pg *pg, const char *name, const char *sql,
                            struct pg_params params, struct error *err)
{
    if (!prepare(pg, name, sql, err))
        return NULL;
    if (!PQsendQueryPrepared(pg->conn, is_prepared(pg, name) ? name : "", params.count,
                             params.values, NULL, NULL, 0)) {
        pg_set_error(pg, NULL, err);
        return NULL;
    }
    return check_result(pg, take_results(pg), err);
}

bool pg_run(struct pg *pg, const char *sql, struct pg_params params, struct error *err)
{
    PGresult *result = pg_query(pg, sql, params, err);

    PQclear(result);
    return result != NULL;
}

PGresult *pg_simple(struct pg *pg, const char *sql, struct error *err)
{
    if (!is_patient(pg))
        return check_result(pg, PQexec(pg->conn, sql), err);
    if (!PQsendQuery(pg->conn, sql)) {
        pg_set_error(pg, NULL, err);
        return NULL;
    }
    return check_result(pg, take_results(pg), err);
}

static void cancel(struct pg *pg)
{
    char ignored[256];
    PGcancel *handle = PQgetCancel(pg->conn);

    PQcancel(handle, ignored, sizeof(ignored));
    PQfreeCancel(handle);
}

static PGresult *take_last_result(struct pg *pg)
{
    PGresult *last = NULL;

    for (PGresult *next; (next = PQgetResult(pg->conn)) != NULL; last = next)
        PQclear(last);
    return last;
}

static PGresult *ask_patiently(struct pg *pg, const char *sql, const struct pg_patience *patience,
                               struct error *err)
{
    if (!PQsendQuery(pg->conn, sql)) {
        pg_set_error(pg, NULL, err);
        return NULL;
    }
    while (PQisBusy(pg->conn)) {
        switch (wait_for(PQsocket(pg->conn), POLLIN, PATIENCE_MS)) {
        case WAIT_READY:
            if (!PQconsumeInput(pg->conn)) {
                pg_set_error(pg, NULL, err);
                return NULL;
            }
            break;
        case WAIT_TIMEOUT: patience->tell(patience->context); break;
        case WAIT_STOP:
            cancel(pg);
            PQclear(take_last_result(pg));
            error_set(err, ERROR_RETRY, "told to stop while the server was busy");
            return NULL;
        }
    }
    return check_result(pg, take_last_result(pg), err);
}

/* A new slot waits for transactions by their locks: lock_timeout would end that. */
PGresult *pg_simple_patiently(struct pg *pg, const char *sql, const struct pg_patience *patience,
                              struct error *err)
{
    struct error ignored;

    if (!pg_script(pg, "set lock_timeout = 0", err))
        return NULL;
    PGresult *result = ask_patiently(pg, sql, patience, err);
    pg_script(pg, "set lock_timeout = " PG_LOCK_TIMEOUT, &ignored);
    return result;
}

bool pg_script(struct pg *pg, const char *sql, struct error *err)
{
    FAILPOINT_IF(may_be_durable(pg, sql), "commit_before");
    PGresult *result = pg_simple(pg, sql, err);
    FAILPOINT_IF(PQtransactionStatus(pg->conn) == PQTRANS_IDLE, "commit_after");

    PQclear(result);
    return result != NULL;
}

void pg_rollback(struct pg *pg)
{
    if (PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        PQclear(PQexec(pg->conn, "rollback"));
}

int64_t pg_affected(const PGresult *result)
{
    return strtoll(PQcmdTuples((PGresult *)result), NULL, 10);
}

const char *pg_field(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int64_t pg_field_int64(const PGresult *result, int row, int column)
{
    const char *text = pg_field(result, row, column);

    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

bool pg_field_bool(const PGresult *result, int row, int column)
{
    const char *text = pg_field(result, row, column);

    return text != NULL && text[0] == 't';
}

lsn_t pg_field_lsn(const PGresult *result, int row, int column)
{
    const char *text = pg_field(result, row, column);
    lsn_t lsn = 0;

    return text != NULL && lsn_parse(text, &lsn) ? lsn : 0;
}

void pg_append_identifier(struct buf *buf, const char *name)
{
    buf_char(buf, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_char(buf, '"');
        buf_char(buf, *name);
    }
    buf_char(buf, '"');
}

void pg_append_qualified(struct buf *buf, const char *schema_name, const char *name)
{
    pg_append_identifier(buf, schema_name);
    buf_char(buf, '.');
    pg_append_identifier(buf, name);
}

void pg_append_literal(struct buf *buf, const char *text)
{
    bool has_backslash = strchr(text, '\\') != NULL;

    buf_text(buf, has_backslash ? " E'" : "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_char(buf, *text);
        buf_char(buf, *text);
    }
    buf_char(buf, '\'');
}

void pg_append_element(struct buf *array, const char *text)
{
    buf_text(array, array->size_bytes == 0 ? "{\"" : ",\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_char(array, '\\');
        buf_char(array, *text);
    }
    buf_char(array, '"');
}

void pg_end_array(struct buf *array)
{
    buf_text(array, array->size_bytes == 0 ? "{}" : "}");
}

struct pg_number pg_number(int64_t number)
{
    struct pg_number text;

    snprintf(text.text, sizeof(text.text), "%" PRId64, number);
    return text;
}
