#include "tail/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/wait.h"
#include "tail/stop.h"

/* A value of 1 GB may need six bytes of JSON for each of its own. */
static const size_t MAX_BYTES = (size_t)7 << 30;

enum { WAITING_MS = 1000 };

struct output {
    int fd;
    struct buf buf;
    off_t whole_bytes; /* of a regular file, up to the end of the last whole transaction */
    bool is_regular;
    bool is_unsynchronised;
    bool is_in_transaction;
    bool is_torn; /* bytes were written since then */
    bool is_closed;
    bool has_failed;
    void (*waiting)(void *context);
    void *context;
};

struct output *output_new(int fd, void (*waiting)(void *context), void *context)
{
    struct output *output = memory_alloc(sizeof(*output));
    struct stat status;

    output->fd = fd;
    output->waiting = waiting;
    output->context = context;
    output->is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    output->whole_bytes = output->is_regular ? status.st_size : 0;
    buf_init(&output->buf, MAX_BYTES);
    return output;
}

void output_free(struct output *output)
{
    if (output == NULL)
        return;
    stop_hold(false);
    buf_done(&output->buf);
    free(output);
}

struct buf *output_buf(struct output *output)
{
    return &output->buf;
}

/* One huge row must not be paid for until the end. */
static void empty(struct output *output)
{
    if (output->buf.room_bytes <= 8 * OUTPUT_SPARE_BYTES) {
        buf_clear(&output->buf);
        return;
    }
    buf_done(&output->buf);
    buf_init(&output->buf, MAX_BYTES);
}

/* After a write that wrote nothing: whether to try again. */
static bool can_go_on(struct output *output, struct error *err)
{
    if (errno == EPIPE) {
        output->is_closed = true;
        return false;
    }
    if (errno == EINTR && !wait_is_stopping())
        return true;
    if (errno == EAGAIN && wait_for(output->fd, POLLOUT, -1) == WAIT_READY)
        return true;
    if (wait_is_stopping())
        return error_set(err, ERROR_RETRY, "told to stop while nobody took the output");
    return error_set(err, ERROR_RETRY, "cannot write: %s", strerror(errno));
}

/* A pipe that has room at all has room for PIPE_BUF bytes: so this waits in poll, never in write.
 */
static ssize_t write_some(struct output *output, const char *bytes, size_t size_bytes)
{
    struct pollfd reader = {.fd = output->fd, .events = POLLOUT};
    int count;

    if (output->is_regular)
        return write(output->fd, bytes, size_bytes);
    while ((count = poll(&reader, 1, WAITING_MS)) == 0)
        if (output->waiting != NULL)
            output->waiting(output->context);
    if (count < 0)
        return -1;
    return write(output->fd, bytes, size_bytes < PIPE_BUF ? size_bytes : PIPE_BUF);
}

static bool give_up(struct output *output)
{
    output->has_failed = true;
    output_discard(output);
    return false;
}

static bool write_all(struct output *output, struct error *err)
{
    const char *at = output->buf.data;
    size_t left = output->buf.size_bytes;

    if (buf_is_full(&output->buf))
        return error_set(err, ERROR_RECORD, "a change of over 7 GB when printed");
    stop_hold(true);
    while (left > 0 && !output->is_closed) {
        ssize_t written = write_some(output, at, left);

        if (written < 0 && !can_go_on(output, err) && !output->is_closed)
            return give_up(output);
        output->is_torn = output->is_torn || written > 0;
        at += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    output->is_unsynchronised = true;
    empty(output);
    return true;
}

bool output_spare(struct output *output, struct error *err)
{
    if (output->buf.size_bytes < OUTPUT_SPARE_BYTES)
        return true;
    /* A transaction of which nothing is written yet need not be begun any more. */
    if (stop_is_asked() && !output->is_in_transaction) {
        output->is_closed = true;
        return true;
    }
    output->is_in_transaction = true;
    return write_all(output, err);
}

bool output_end_transaction(struct output *output, struct error *err)
{
    if (!write_all(output, err))
        return false;
    output->is_in_transaction = false;
    output->is_torn = false;
    stop_hold(false);
    if (output->is_regular)
        output->whole_bytes = lseek(output->fd, 0, SEEK_END);
    return true;
}

bool output_synchronise(struct output *output, struct error *err)
{
    if (!output->is_regular || !output->is_unsynchronised)
        return true;
    if (fdatasync(output->fd) != 0)
        return error_set(err, ERROR_RETRY, "cannot synchronise the file: %s", strerror(errno));
    output->is_unsynchronised = false;
    return true;
}

void output_discard(struct output *output)
{
    empty(output);
    stop_hold(false);
    if (!output->is_torn || !output->is_regular || output->whole_bytes < 0 ||
        ftruncate(output->fd, output->whole_bytes) != 0)
        return;
    lseek(output->fd, 0, SEEK_END);
    output->is_in_transaction = false;
    output->is_torn = false;
}

bool output_is_in_transaction(const struct output *output)
{
    return output->is_in_transaction;
}

bool output_is_cut(const struct output *output)
{
    return output->is_torn && !output->is_regular;
}

bool output_is_closed(const struct output *output)
{
    return output->is_closed;
}

bool output_has_failed(const struct output *output)
{
    return output->has_failed;
}

bool output_is_reader_gone(struct output *output)
{
    struct pollfd reader = {.fd = output->fd};

    if (!output->is_regular && poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) != 0)
        output->is_closed = true;
    return output->is_closed;
}
