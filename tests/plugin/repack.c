/*
 * repack FILE: the plugin's hot path writes the wire format by hand. Unpacked by protobuf-c's
 * generated code and packed again it must be the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "change.pb-c.h"

enum { MAX_BYTES = 256 << 20 };

static bool read_whole(const char *path, struct buf *bytes)
{
    char chunk[65536];
    size_t size_bytes;
    FILE *in = fopen(path, "rb");

    if (in == NULL)
        return false;
    while ((size_bytes = fread(chunk, 1, sizeof(chunk), in)) > 0)
        buf_append(bytes, chunk, size_bytes);
    bool is_good = !ferror(in) && !buf_is_full(bytes);
    fclose(in);
    return is_good;
}

int main(int argc, char **argv)
{
    struct buf bytes BUF_AUTO = {0};

    buf_init(&bytes, MAX_BYTES);
    if (argc != 2 || !read_whole(argv[1], &bytes)) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 64;
    }

    Pgforce__V1__Batch *batch =
        pgforce__v1__batch__unpack(NULL, bytes.size_bytes, (const uint8_t *)bytes.data);
    if (batch == NULL) {
        fprintf(stderr, "%s: protobuf-c cannot unpack it\n", argv[1]);
        return 1;
    }

    size_t size_bytes = pgforce__v1__batch__get_packed_size(batch);
    uint8_t *packed = malloc(size_bytes + 1);
    if (packed == NULL)
        return 1;
    pgforce__v1__batch__pack(batch, packed);
    bool is_same = size_bytes == bytes.size_bytes && memcmp(packed, bytes.data, size_bytes) == 0;
    if (!is_same)
        fprintf(stderr, "%s: packed again it has %zu bytes instead of %zu, or others\n", argv[1],
                size_bytes, bytes.size_bytes);
    free(packed);
    pgforce__v1__batch__free_unpacked(batch, NULL);
    return is_same ? 0 : 1;
}
