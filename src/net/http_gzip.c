#include "net/http_gzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/arena.h"

enum { INFLATE_CHUNK_BYTES = 64 * 1024 };

static bool inflate_all(z_stream *stream, struct buf *out)
{
    char chunk[INFLATE_CHUNK_BYTES];
    int result = Z_OK;

    while (result == Z_OK && !buf_is_full(out)) {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = sizeof(chunk);
        result = inflate(stream, Z_NO_FLUSH);
        buf_append(out, chunk, sizeof(chunk) - stream->avail_out);
    }
    return result == Z_STREAM_END;
}

bool http_gzip_unpack(const struct buf *in, struct buf *out)
{
    enum { ANY_FORMAT = 15 + 32 };
    z_stream stream = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->size_bytes};

    if (inflateInit2(&stream, ANY_FORMAT) != Z_OK)
        return false;
    bool is_whole = inflate_all(&stream, out);
    inflateEnd(&stream);
    return is_whole;
}

bool http_gzip_pack(const struct buf *in, struct buf *out)
{
    enum { GZIP_FORMAT = 15 + 16, MEMORY_LEVEL = 8 };
    z_stream stream = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->size_bytes};

    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_FORMAT, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&stream, in->size_bytes);
    char *packed = memory_alloc(bound);
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)bound;
    bool is_whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (is_whole)
        buf_append(out, packed, bound - stream.avail_out);
    free(packed);
    deflateEnd(&stream);
    return is_whole && !buf_is_full(out);
}
