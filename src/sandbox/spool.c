#include "sandbox/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_BYTES = 256 * 1024 };

struct spool {
    struct buf buf; /* what is not in the file yet */
    int fd;         /* -1 while there is no file */
    int64_t file_bytes;
    char *view; /* the file as mapped last; NULL for not */
    size_t view_bytes;
};

struct spool *spool_new(void)
{
    struct spool *spool = memory_alloc(sizeof(*spool));

    /* One append may be as large as a request's body. */
    buf_init(&spool->buf, SIZE_MAX / 2);
    spool->fd = -1;
    return spool;
}

static void drop_view(struct spool *spool)
{
    if (spool->view != NULL)
        munmap(spool->view, spool->view_bytes);
    spool->view = NULL;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    drop_view(spool);
    if (spool->fd >= 0)
        close(spool->fd);
    buf_done(&spool->buf);
    free(spool);
}

static bool open_file(struct spool *spool, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];

    if (folder == NULL || *folder == '\0')
        folder = "/tmp";
    if (snprintf(path, sizeof(path), "%s/pgforce-sandbox-XXXXXX", folder) >= (int)sizeof(path))
        return error_set(err, ERROR_CONFIG, "TMPDIR is too long");
    spool->fd = mkostemp(path, O_CLOEXEC);
    if (spool->fd < 0)
        return error_set(err, ERROR_CONFIG,
                         "cannot make a temporary file in %s: %s; set TMPDIR to another folder",
                         folder, strerror(errno));
    unlink(path);
    return true;
}

static bool flush(struct spool *spool, struct error *err)
{
    size_t written = 0;

    if (spool->fd < 0 && !open_file(spool, err))
        return false;
    while (written < spool->buf.size_bytes) {
        ssize_t size = write(spool->fd, spool->buf.data + written, spool->buf.size_bytes - written);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return error_set(err, ERROR_RETRY, "cannot write a temporary file: %s",
                             strerror(errno));
        written += (size_t)size;
    }
    spool->file_bytes += (int64_t)spool->buf.size_bytes;
    buf_clear(&spool->buf);
    return true;
}

bool spool_append(struct spool *spool, const void *data, size_t size_bytes, struct error *err)
{
    buf_append(&spool->buf, data, size_bytes);
    return spool->buf.size_bytes < MEMORY_BYTES || flush(spool, err);
}

int64_t spool_size(const struct spool *spool)
{
    return spool->file_bytes + (int64_t)spool->buf.size_bytes;
}

const char *spool_view(struct spool *spool, struct error *err)
{
    if (spool->fd < 0)
        return spool->buf.data;
    if (spool->buf.size_bytes > 0 && !flush(spool, err))
        return NULL;
    if (spool->view != NULL && (int64_t)spool->view_bytes == spool->file_bytes)
        return spool->view;
    drop_view(spool);
    spool->view_bytes = (size_t)spool->file_bytes;
    void *view = mmap(NULL, spool->view_bytes, PROT_READ, MAP_PRIVATE, spool->fd, 0);
    if (view == MAP_FAILED) {
        error_set(err, ERROR_RETRY, "cannot map a temporary file: %s", strerror(errno));
        return NULL;
    }
    spool->view = view;
    return spool->view;
}

bool spool_send(struct spool *spool, int64_t start, int64_t end,
                struct http_server_response *response, struct error *err)
{
    if (end <= start)
        return true;
    if (spool->fd < 0) {
        buf_append(&response->body, spool->buf.data + start, (size_t)(end - start));
        return true;
    }
    if (spool->buf.size_bytes > 0 && !flush(spool, err))
        return false;
    int fd = dup(spool->fd);
    if (fd < 0)
        return error_set(err, ERROR_RETRY, "cannot open a temporary file again: %s",
                         strerror(errno));
    response->file =
        (struct http_server_file){.fd = fd, .offset = start, .size_bytes = end - start};
    return true;
}
