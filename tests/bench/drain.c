/*
 * Reads a replication slot up to a position, throws away what comes, and prints one line of JSON
 * that says what it cost on both sides. The same receiver for every output plugin.
 *
 *     bench_drain CONNINFO SLOT END_LSN [-k FILE | -r] [NAME=VALUE ...]
 *
 * NAME=VALUE are the plugin's options. -k keeps the payloads in FILE, each after its length (four
 * bytes, little-endian), for bench_reader. -r reads every change with pgforce's own reader, as a
 * real client would. It never confirms anything, so the slot stays where it is. It measures the
 * server process through its CPU clock and /proc, so the server must be on this machine.
 */
#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/lsn.h"
#include "change/change.h"

/* 'w', three positions of 8 bytes; 'k', a position, a time, whether an answer is wanted. */
enum { DATA_HEADER_BYTES = 25, KEEPALIVE_BYTES = 18, FEEDBACK_BYTES = 34 };

struct drain {
    PGconn *conn;
    lsn_t end;
    FILE *kept;                   /* or NULL */
    struct change_reader *reader; /* or NULL */
    uint64_t message_count;
    uint64_t total_bytes;
    uint64_t row_count; /* with a reader */
    bool is_done;
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_drain: %s: %s\n", what, why);
    exit(1);
}

static double seconds_of(clockid_t id)
{
    struct timespec time;

    if (clock_gettime(id, &time) != 0)
        fail("reading a clock", "the process is gone");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static clockid_t cpu_clock(pid_t pid)
{
    clockid_t id;

    if (clock_getcpuclockid(pid, &id) != 0)
        fail("finding the CPU clock of a process", "it must run on this machine");
    return id;
}

/* The most memory a process has had, shared memory that it touched included. */
static long peak_kb(pid_t pid)
{
    char line[256];
    long kb = -1;

    snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
    FILE *file = fopen(line, "r");
    if (file == NULL)
        return -1;
    while (kb < 0 && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    fclose(file);
    return kb;
}

static lsn_t read_position(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return be64toh(value);
}

/* Says that we live, and confirms nothing. */
static void send_feedback(PGconn *conn)
{
    char message[FEEDBACK_BYTES] = {'r'};

    if (PQputCopyData(conn, message, sizeof(message)) <= 0 || PQflush(conn) < 0)
        fail("sending feedback", PQerrorMessage(conn));
}

static void read_changes(struct drain *drain, const char *data, size_t size_bytes)
{
    struct error err = {0};
    struct event event;
    enum change_result result;

    if (!change_reader_feed(drain->reader, data, size_bytes, &err))
        fail("reading changes", err.message);
    while ((result = change_reader_next(drain->reader, &event, &err)) == CHANGE_EVENT)
        drain->row_count += event.kind == EVENT_ROW;
    if (result == CHANGE_ERROR)
        fail("reading changes", err.message);
}

static void keep(struct drain *drain, const char *data, size_t size_bytes)
{
    uint32_t length = htole32((uint32_t)size_bytes);

    if (fwrite(&length, sizeof(length), 1, drain->kept) != 1 ||
        fwrite(data, 1, size_bytes, drain->kept) != size_bytes)
        fail("keeping a message", "the file cannot be written");
}

static void take_message(struct drain *drain, const char *message, size_t size_bytes)
{
    if (message[0] == 'k' && size_bytes >= KEEPALIVE_BYTES) {
        drain->is_done = read_position(message + 1) >= drain->end;
        if (message[KEEPALIVE_BYTES - 1] != 0)
            send_feedback(drain->conn);
        return;
    }
    if (message[0] != 'w' || size_bytes < DATA_HEADER_BYTES)
        fail("reading the stream", "a message that is neither data nor keepalive");
    message += DATA_HEADER_BYTES;
    size_bytes -= DATA_HEADER_BYTES;
    drain->message_count++;
    drain->total_bytes += size_bytes;
    if (drain->kept != NULL)
        keep(drain, message, size_bytes);
    if (drain->reader != NULL)
        read_changes(drain, message, size_bytes);
}

static void await_input(PGconn *conn)
{
    struct pollfd socket = {.fd = PQsocket(conn), .events = POLLIN};

    if (poll(&socket, 1, -1) < 0 || PQconsumeInput(conn) == 0)
        fail("reading the stream", PQerrorMessage(conn));
}

static void drain_slot(struct drain *drain)
{
    while (!drain->is_done) {
        char *message = NULL;
        int length = PQgetCopyData(drain->conn, &message, 1);

        if (length == 0) {
            await_input(drain->conn);
            continue;
        }
        if (length < 0) {
            PQclear(PQgetResult(drain->conn));
            fail("the stream ended", PQerrorMessage(drain->conn));
        }
        take_message(drain, message, (size_t)length);
        PQfreemem(message);
    }
}

static void append_literal(struct buf *command, const char *text)
{
    buf_char(command, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_char(command, '\'');
        buf_char(command, *text);
    }
    buf_char(command, '\'');
}

static void start_replication(PGconn *conn, const char *slot, char **options, int option_count)
{
    struct buf command BUF_AUTO = {0};

    buf_init(&command, 64 * 1024);
    buf_printf(&command, "START_REPLICATION SLOT \"%s\" LOGICAL 0/0", slot);
    for (int i = 0; i < option_count; i++) {
        const char *equals = strchr(options[i], '=');

        if (equals == NULL)
            fail("reading the options", "NAME=VALUE is wanted");
        buf_printf(&command, "%s\"%.*s\" ", i == 0 ? " (" : ", ", (int)(equals - options[i]),
                   options[i]);
        append_literal(&command, equals + 1);
    }
    buf_text(&command, option_count > 0 ? ")" : "");
    PGresult *result = PQexec(conn, command.data);
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        fail(command.data, PQerrorMessage(conn));
    PQclear(result);
}

static PGconn *connect_to(const char *conninfo)
{
    /* The later keyword wins; the first is expanded because it is called dbname. */
    const char *const keywords[] = {"dbname", "replication", NULL};
    const char *const values[] = {conninfo, "database", NULL};
    PGconn *conn = PQconnectdbParams(keywords, values, 1);

    if (PQstatus(conn) != CONNECTION_OK)
        fail("connecting", PQerrorMessage(conn));
    return conn;
}

static void run(struct drain *drain, const char *slot, char **options, int option_count)
{
    pid_t server = PQbackendPID(drain->conn);
    clockid_t server_clock = cpu_clock(server);
    double server_s = seconds_of(server_clock);
    double client_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    double wall_s = seconds_of(CLOCK_MONOTONIC);

    start_replication(drain->conn, slot, options, option_count);
    drain_slot(drain);
    printf(
        "{\"wall_s\": %.6f, \"server_cpu_s\": %.6f, \"client_cpu_s\": %.6f, \"messages\": %" PRIu64
        ", \"bytes\": %" PRIu64 ", \"rows_read\": %" PRIu64
        ", \"server_peak_kb\": %ld, \"client_peak_kb\": %ld}\n",
        seconds_of(CLOCK_MONOTONIC) - wall_s, seconds_of(server_clock) - server_s,
        seconds_of(CLOCK_PROCESS_CPUTIME_ID) - client_s, drain->message_count, drain->total_bytes,
        drain->row_count, peak_kb(server), peak_kb(getpid()));
}

int main(int argc, char **argv)
{
    struct drain drain = {0};
    int first_option = 4;

    if (argc < 4 || !lsn_parse(argv[3], &drain.end)) {
        fputs("usage: bench_drain CONNINFO SLOT END_LSN [-k FILE | -r] [NAME=VALUE ...]\n", stderr);
        return 64;
    }
    if (argc > 5 && strcmp(argv[4], "-k") == 0) {
        drain.kept = fopen(argv[5], "w");
        first_option = 6;
        if (drain.kept == NULL)
            fail(argv[5], "cannot be written");
    } else if (argc > 4 && strcmp(argv[4], "-r") == 0) {
        drain.reader = change_reader_new();
        first_option = 5;
    }
    drain.conn = connect_to(argv[1]);
    run(&drain, argv[2], argv + first_option, argc - first_option);
    PQfinish(drain.conn);
    change_reader_free(drain.reader);
    if (drain.kept != NULL && fclose(drain.kept) != 0)
        fail("keeping the messages", "the file cannot be written");
    return 0;
}
