#include "net/http_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK_BYTES = 256 * 1024 };

/* How far a download is. */
struct download {
    const struct http_server_response *answer;
    z_stream packer;
    bool is_packed;
    bool is_finished;
    int64_t taken_bytes; /* by the packer */
    char *block;         /* what the packer is given */
};

static int64_t total_bytes(const struct http_server_response *answer)
{
    return (int64_t)answer->body.size_bytes + answer->file.size_bytes;
}

/* Bytes of the body, then of the file; -1 when the file is shorter than promised. */
static ssize_t read_at(const struct http_server_response *answer, int64_t position, char *out,
                       size_t room)
{
    int64_t head_bytes = (int64_t)answer->body.size_bytes;
    int64_t left_bytes = total_bytes(answer) - position;

    if (left_bytes < (int64_t)room)
        room = (size_t)left_bytes;
    if (position < head_bytes) {
        size_t size =
            head_bytes - position < (int64_t)room ? (size_t)(head_bytes - position) : room;

        memcpy(out, answer->body.data + position, size);
        return (ssize_t)size;
    }
    ssize_t size = pread(answer->file.fd, out, room, answer->file.offset + (position - head_bytes));
    return size > 0 ? size : -1;
}

static ssize_t read_plain(void *context, uint64_t position, char *out, size_t room)
{
    struct download *download = context;

    ssize_t size = read_at(download->answer, (int64_t)position, out, room);
    return size > 0 ? size : MHD_CONTENT_READER_END_WITH_ERROR;
}

static bool feed_packer(struct download *download)
{
    if (download->packer.avail_in > 0 || download->taken_bytes == total_bytes(download->answer))
        return true;
    ssize_t size = read_at(download->answer, download->taken_bytes, download->block, BLOCK_BYTES);
    if (size <= 0)
        return false;
    download->taken_bytes += size;
    download->packer.next_in = (Bytef *)download->block;
    download->packer.avail_in = (uInt)size;
    return true;
}

static ssize_t read_packed(void *context, uint64_t position, char *out, size_t room)
{
    struct download *download = context;

    (void)position;
    if (room > BLOCK_BYTES)
        room = BLOCK_BYTES;
    download->packer.next_out = (Bytef *)out;
    download->packer.avail_out = (uInt)room;
    while (!download->is_finished && download->packer.avail_out > 0) {
        if (!feed_packer(download))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        bool is_last = download->taken_bytes == total_bytes(download->answer);
        int result = deflate(&download->packer, is_last ? Z_FINISH : Z_NO_FLUSH);
        download->is_finished = result == Z_STREAM_END;
        if (result == Z_STREAM_ERROR)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t made = room - download->packer.avail_out;
    return made > 0 ? (ssize_t)made : MHD_CONTENT_READER_END_OF_STREAM;
}

static void end_download(void *context)
{
    struct download *download = context;

    if (download->is_packed)
        deflateEnd(&download->packer);
    free(download->block);
    free(download);
}

static bool start_packer(struct download *download)
{
    enum { GZIP_FORMAT = 15 + 16, MEMORY_LEVEL = 8 };

    download->is_packed = deflateInit2(&download->packer, Z_BEST_SPEED, Z_DEFLATED, GZIP_FORMAT,
                                       MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
    download->block = memory_alloc(BLOCK_BYTES);
    return download->is_packed;
}

/* What can be no header is left out; one that memory ran out for is not. */
static bool add(struct MHD_Response *response, const char *name, const char *value)
{
    errno = 0;
    return MHD_add_response_header(response, name, value) == MHD_YES || errno != ENOMEM;
}

struct MHD_Response *http_file_add_headers(struct MHD_Response *response,
                                           const struct http_server_response *answer,
                                           bool is_packed)
{
    bool is_whole = response != NULL;

    for (size_t i = 0; is_whole && i < answer->header_count; i++)
        is_whole = add(response, answer->headers[i].name, answer->headers[i].value);
    if (is_whole && is_packed)
        is_whole =
            add(response, "Content-Encoding", "gzip") && add(response, "Vary", "Accept-Encoding");
    if (is_whole)
        return response;
    if (response != NULL)
        MHD_destroy_response(response);
    return NULL;
}

struct MHD_Response *http_file_response(const struct http_server_response *answer, bool is_packed)
{
    struct download *download = memory_alloc(sizeof(*download));

    download->answer = answer;
    is_packed = is_packed && start_packer(download);
    struct MHD_Response *response = MHD_create_response_from_callback(
        is_packed ? MHD_SIZE_UNKNOWN : (uint64_t)total_bytes(answer), BLOCK_BYTES,
        is_packed ? read_packed : read_plain, download, end_download);
    if (response == NULL)
        end_download(download);
    return http_file_add_headers(response, answer, is_packed);
}
