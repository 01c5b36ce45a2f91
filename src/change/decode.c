#include "change/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024 };

/* A value of 1 GB may need six bytes of JSON for each of its own. */
static const size_t MAX_LINE_BYTES = (size_t)7 << 30;

static bool print_whole_events(struct change_reader *reader, FILE *out,
                               const struct change_json_options *options, struct error *err)
{
    struct buf line BUF_AUTO = {0};
    struct event event;
    enum change_result result;

    buf_init(&line, MAX_LINE_BYTES);
    while ((result = change_reader_next(reader, &event, err)) == CHANGE_EVENT) {
        buf_clear(&line);
        change_json_print(&line, &event, options);
        if (buf_is_full(&line))
            return error_set(err, ERROR_RECORD, "a change of over 7 GB of JSON");
        if (fwrite(line.data, 1, line.size_bytes, out) != line.size_bytes)
            return error_set(err, ERROR_RETRY, "cannot write the output: %s", strerror(errno));
    }
    return result == CHANGE_NEED;
}

static bool decode_stream(struct change_reader *reader, FILE *in, FILE *out,
                          const struct change_json_options *options, struct error *err)
{
    char chunk[CHUNK_BYTES];
    size_t size_bytes;

    while ((size_bytes = fread(chunk, 1, sizeof(chunk), in)) > 0)
        if (!change_reader_feed(reader, chunk, size_bytes, err) ||
            !print_whole_events(reader, out, options, err))
            return false;
    if (ferror(in))
        return error_set(err, ERROR_RETRY, "cannot read the changes: %s", strerror(errno));
    if (change_reader_pending_bytes(reader) > 0)
        return error_set(err, ERROR_RECORD, "the file was cut inside its last event (%zu bytes)",
                         change_reader_pending_bytes(reader));
    if (fflush(out) != 0)
        return error_set(err, ERROR_RETRY, "cannot write the output: %s", strerror(errno));
    return true;
}

bool decode_file(FILE *in, FILE *out, const struct change_json_options *options, struct error *err)
{
    struct change_reader *reader = change_reader_new();
    bool is_done = decode_stream(reader, in, out, options, err);

    change_reader_free(reader);
    return is_done;
}
