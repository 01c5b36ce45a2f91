/*
 * What reading a change costs: pgforce's own reader against protobuf-c's generated unpack, over the
 * same messages in turn. Prints one line of JSON.
 *
 *     bench_reader FILE ROUNDS
 *
 * FILE is what bench_drain -k kept. Both must find the same rows, or nothing is printed.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "change.pb-c.h"
#include "change/change.h"

struct messages {
    const uint8_t *bytes;
    size_t size_bytes;
};

/* What a reading found, so that neither can be quick by leaving things out. */
struct found {
    uint64_t row_count;
    uint64_t value_count;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_reader: %s\n", what);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct messages load(const char *path)
{
    FILE *file = fopen(path, "r");
    long size_bytes;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size_bytes = ftell(file)) < 0)
        fail("the file cannot be read");
    uint8_t *bytes = memory_alloc((size_t)size_bytes + 1);
    rewind(file);
    if (fread(bytes, 1, (size_t)size_bytes, file) != (size_t)size_bytes)
        fail("the file cannot be read");
    fclose(file);
    return (struct messages){bytes, (size_t)size_bytes};
}

/* Cuts the next message off; false at the end. */
static bool next_message(struct messages *rest, struct messages *message)
{
    uint32_t length;

    if (rest->size_bytes == 0)
        return false;
    if (rest->size_bytes < sizeof(length))
        fail("the file ends inside a length");
    memcpy(&length, rest->bytes, sizeof(length));
    length = le32toh(length);
    if (length > rest->size_bytes - sizeof(length))
        fail("the file ends inside a message");
    *message = (struct messages){rest->bytes + sizeof(length), length};
    rest->bytes += sizeof(length) + length;
    rest->size_bytes -= sizeof(length) + length;
    return true;
}

static void count_row(const struct row *row, struct found *found)
{
    size_t columns = row->relation->column_count;

    found->row_count++;
    found->value_count += row->new_values != NULL ? columns : 0;
    found->value_count += row->old_values != NULL ? columns : 0;
}

static struct found read_with_ours(struct messages rest)
{
    struct change_reader *reader = change_reader_new();
    struct found found = {0};
    struct messages message;
    struct error err = {0};
    struct event event;

    while (next_message(&rest, &message)) {
        if (!change_reader_feed(reader, message.bytes, message.size_bytes, &err))
            fail(err.message);
        while (change_reader_next(reader, &event, &err) == CHANGE_EVENT)
            if (event.kind == EVENT_ROW)
                count_row(&event.row, &found);
        if (err.kind != ERROR_NONE)
            fail(err.message);
    }
    change_reader_free(reader);
    return found;
}

static struct found read_with_protobuf_c(struct messages rest)
{
    struct found found = {0};
    struct messages message;

    while (next_message(&rest, &message)) {
        Pgforce__V1__Batch *batch =
            pgforce__v1__batch__unpack(NULL, message.size_bytes, message.bytes);

        if (batch == NULL)
            fail("protobuf-c refuses a message");
        for (size_t i = 0; i < batch->n_events; i++) {
            if (batch->events[i]->event_case != PGFORCE__V1__EVENT__EVENT_ROW)
                continue;
            found.row_count++;
            found.value_count += batch->events[i]->row->n_new_;
            found.value_count += batch->events[i]->row->n_old;
        }
        pgforce__v1__batch__free_unpacked(batch, NULL);
    }
    return found;
}

static double cpu_per_row(struct found (*read)(struct messages), struct messages messages,
                          struct found *found)
{
    double before_s = cpu_s();

    *found = read(messages);
    return (cpu_s() - before_s) * 1e6 / (double)found->row_count;
}

static int ascending(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;

    return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
    enum { MOST_ROUNDS = 99 };
    double ours_us[MOST_ROUNDS];
    double protobuf_c_us[MOST_ROUNDS];
    int rounds = argc == 3 ? atoi(argv[2]) : 0;

    if (rounds < 1 || rounds > MOST_ROUNDS) {
        fputs("usage: bench_reader FILE ROUNDS (1 to 99)\n", stderr);
        return 64;
    }
    struct messages messages = load(argv[1]);
    for (int i = 0; i < rounds; i++) {
        struct found ours;
        struct found theirs;

        ours_us[i] = cpu_per_row(read_with_ours, messages, &ours);
        protobuf_c_us[i] = cpu_per_row(read_with_protobuf_c, messages, &theirs);
        if (ours.row_count == 0 || memcmp(&ours, &theirs, sizeof(ours)) != 0)
            fail("the two readers do not find the same");
    }
    qsort(ours_us, (size_t)rounds, sizeof(double), ascending);
    qsort(protobuf_c_us, (size_t)rounds, sizeof(double), ascending);
    printf("{\"ours_us\": %.4f, \"protobuf_c_us\": %.4f}\n", ours_us[rounds / 2],
           protobuf_c_us[rounds / 2]);
    return 0;
}
