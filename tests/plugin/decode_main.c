/*
 * decode_main FILE [relations] [transactions] [spool] [memory]: a file of changes as masked JSON,
 * for golden files. With spool, what was streamed in blocks comes as whole transactions. With
 * memory, the most that it held, in kB, goes to standard error.
 */
#include <stdio.h>
#include <string.h>

#include "change/decode.h"
#include "stream/spool.h"

enum { CHUNK_BYTES = 4096, MAX_LINE_BYTES = 1 << 30 };

static bool print_events(struct spool *spool, struct change_reader *reader,
                         const struct change_json_options *options, struct error *err)
{
    struct buf line BUF_AUTO = {0};
    struct event event;
    enum change_result result;

    buf_init(&line, MAX_LINE_BYTES);
    while ((result = spool_next(spool, reader, &event, err)) == CHANGE_EVENT) {
        buf_clear(&line);
        change_json_print(&line, &event, options);
        fwrite(line.data, 1, line.size_bytes, stdout);
    }
    return result == CHANGE_NEED;
}

static bool decode_spooled(FILE *in, const struct change_json_options *options, struct error *err)
{
    struct spool *spool = spool_new();
    struct change_reader *reader = change_reader_new();
    char chunk[CHUNK_BYTES];
    size_t size_bytes;
    bool is_good = true;

    while (is_good && (size_bytes = fread(chunk, 1, sizeof(chunk), in)) > 0)
        is_good = change_reader_feed(reader, chunk, size_bytes, err) &&
                  print_events(spool, reader, options, err);
    if (is_good && change_reader_pending_bytes(reader) > 0)
        is_good = error_set(err, ERROR_RECORD, "the file was cut");
    change_reader_free(reader);
    spool_free(spool);
    return is_good;
}

/* Not getrusage's, which begins with the memory of the program that started us. */
static void print_memory(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long peak_kb;

    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (sscanf(line, "VmHWM: %ld", &peak_kb) == 1)
            fprintf(stderr, "%ld\n", peak_kb);
    if (status != NULL)
        fclose(status);
}

int main(int argc, char **argv)
{
    struct change_json_options options = {.mask = true};
    struct error err = {0};
    FILE *in = argc > 1 ? fopen(argv[1], "rb") : NULL;
    bool with_spool = false;
    bool with_memory = false;

    if (in == NULL) {
        fprintf(stderr, "usage: %s FILE [relations] [transactions] [spool] [memory]\n", argv[0]);
        return 64;
    }
    for (int i = 2; i < argc; i++) {
        options.with_relations |= strcmp(argv[i], "relations") == 0;
        options.with_transactions |= strcmp(argv[i], "transactions") == 0;
        with_spool |= strcmp(argv[i], "spool") == 0;
        with_memory |= strcmp(argv[i], "memory") == 0;
    }
    bool is_done =
        with_spool ? decode_spooled(in, &options, &err) : decode_file(in, stdout, &options, &err);
    if (!is_done)
        fprintf(stderr, "%s: %s\n", argv[1], err.message);
    if (with_memory)
        print_memory();
    fclose(in);
    return is_done ? 0 : 1;
}
