/*
 * libFuzzer: what the sandbox reads of a body of any bytes. The first byte chooses the dialect; the
 * rest is CSV, and what is read of it, written again, must read back the same. The same bytes are
 * also taken for a multipart body and for XML.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/base64.h"
#include "sandbox/csv.h"
#include "sandbox/multipart.h"
#include "sandbox/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void write_row(struct buf *out, const struct csv_row *row, const struct csv_format *format)
{
    for (size_t i = 0; i < row->count; i++) {
        if (i > 0)
            buf_char(out, format->delimiter);
        csv_write(out, row->cells[i], strlen(row->cells[i]));
    }
    csv_write_end(out, format);
}

static void check_same(const struct csv_row *row, const struct csv_row *again)
{
    check(row->count == again->count);
    for (size_t i = 0; i < row->count; i++)
        check(strcmp(row->cells[i], again->cells[i]) == 0);
}

static void read_back(struct arena *arena, const struct csv_row *row,
                      const struct csv_format *format)
{
    struct buf out BUF_AUTO = {0};
    struct csv_row again;

    buf_init(&out, SIZE_MAX / 2);
    write_row(&out, row, format);
    struct csv_reader reader = {.format = *format, .data = out.data, .size_bytes = out.size_bytes};
    check(csv_read(&reader, arena, &again) == CSV_ROW);
    check_same(row, &again);
    check(csv_read(&reader, arena, &again) == CSV_END);
}

static void read_csv(struct arena *arena, const char *text, size_t size_bytes,
                     const struct csv_format *format)
{
    struct csv_reader reader = {.format = *format, .data = text, .size_bytes = size_bytes};
    enum csv_result result;
    struct csv_row row;
    size_t last_end = 0;

    while ((result = csv_read(&reader, arena, &row)) == CSV_ROW) {
        check(row.count > 0 && row.start >= last_end && row.end >= row.start);
        check(row.end <= reader.position && reader.position <= size_bytes);
        last_end = row.end;
        read_back(arena, &row, format);
    }
    check((result == CSV_BAD) == (reader.problem != NULL));
    check(result == CSV_BAD || reader.position == size_bytes);
}

static void read_others(struct arena *arena, const char *text, size_t size_bytes)
{
    struct multipart_body body = {
        .content_type = "multipart/form-data; boundary=x", .data = text, .size_bytes = size_bytes};
    size_t part_bytes = 0;
    const char *part = multipart_find(&body, "job", &part_bytes);

    check(part == NULL || (part >= text && part + part_bytes <= text + size_bytes));
    const char *found = xml_find(arena, text, "a");
    check(found == NULL || strlen(found) <= size_bytes);
    base64_decode(arena, text, strlen(text), &part_bytes);
    const char *code = base64_encode_url(arena, text, size_bytes);
    const char *plain = base64_decode(arena, code, strlen(code), &part_bytes);
    check(plain != NULL && part_bytes == size_bytes && memcmp(plain, text, size_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const char delimiters[] = ",\t|^;`";
    struct arena *arena = arena_new();

    if (size_bytes > 0) {
        struct csv_format format = {.delimiter = delimiters[data[0] / 2 % 6],
                                    .is_crlf = data[0] % 2 != 0};
        /* Not in the arena: a read behind the end shall be seen. */
        char *text = memory_alloc(size_bytes);

        memcpy(text, data + 1, size_bytes - 1);
        read_csv(arena, text, size_bytes - 1, &format);
        read_others(arena, text, size_bytes - 1);
        free(text);
    }
    arena_free(arena);
    return 0;
}
