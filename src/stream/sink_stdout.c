#include "stream/sink_stdout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "change/change_json.h"

enum { LINE_MAX_BYTES = 1 << 30 };

struct sink_stdout {
    struct sink sink;
    FILE *file;
    struct buf line;
    lsn_t durable;
};

static struct sink_stdout *self(struct sink *sink)
{
    return (struct sink_stdout *)sink;
}

static bool open_stdout(struct sink *sink, lsn_t *resume, struct error *err)
{
    (void)err;
    self(sink)->durable = *resume;
    return true;
}

static bool check_file(const struct sink_stdout *out, struct error *err)
{
    if (!ferror(out->file))
        return true;
    return error_set(err, ERROR_RETRY, "cannot write: %s", strerror(errno));
}

static bool write_event(struct sink *sink, const struct event *event, struct error *err)
{
    static const struct change_json_options options = {0};
    struct sink_stdout *out = self(sink);

    buf_clear(&out->line);
    change_json_print(&out->line, event, &options);
    fwrite(out->line.data, 1, out->line.size_bytes, out->file);
    if (event->kind == EVENT_COMMIT)
        fflush(out->file);
    return check_file(out, err);
}

static bool settle_stdout(struct sink *sink, lsn_t reached, lsn_t *durable, struct error *err)
{
    struct sink_stdout *out = self(sink);

    fflush(out->file);
    if (!check_file(out, err))
        return false;
    out->durable = reached;
    *durable = reached;
    return true;
}

static void close_stdout(struct sink *sink)
{
    fflush(self(sink)->file);
}

struct sink *sink_stdout_new(FILE *file)
{
    struct sink_stdout *out = memory_alloc(sizeof(*out));

    out->sink = (struct sink){.name = "stdout",
                              .open = open_stdout,
                              .write = write_event,
                              .settle = settle_stdout,
                              .close = close_stdout};
    out->file = file;
    buf_init(&out->line, LINE_MAX_BYTES);
    return &out->sink;
}

void sink_stdout_free(struct sink *sink)
{
    if (sink == NULL)
        return;
    buf_done(&self(sink)->line);
    free(sink);
}
