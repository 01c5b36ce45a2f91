/*
 * libFuzzer: the reader of Bulk results, any bytes cut anywhere. The first byte is the size of the
 * pieces; what is read in pieces must be what is read at once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sf/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void append_row(const struct sf_csv_row *row, struct buf *out)
{
    for (size_t i = 0; i < row->count; i++) {
        if (row->cells[i][row->sizes[i]] != '\0')
            abort();
        buf_printf(out, "%zu:", row->sizes[i]);
        buf_append(out, row->cells[i], row->sizes[i]);
    }
    buf_char(out, '\n');
}

static void read_rows(const char *text, size_t text_bytes, size_t piece_bytes, struct buf *out)
{
    struct sf_csv *csv = sf_csv_new();
    enum sf_csv_result result;
    struct sf_csv_row row;
    size_t fed = 0;
    bool is_ended = false;

    for (;;) {
        result = sf_csv_next(csv, &row);
        if (result == SF_CSV_ROW) {
            append_row(&row, out);
            continue;
        }
        if (result == SF_CSV_BAD || is_ended)
            break;
        size_t left = text_bytes - fed;
        size_t size = left < piece_bytes ? left : piece_bytes;
        if (size > 0)
            sf_csv_feed(csv, text + fed, size);
        else
            sf_csv_end(csv);
        is_ended = size == 0;
        fed += size;
    }
    buf_printf(out, "%d", result);
    sf_csv_free(csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct buf whole BUF_AUTO = {0};
    struct buf pieces BUF_AUTO = {0};

    if (size_bytes == 0)
        return 0;
    buf_init(&whole, SIZE_MAX / 2);
    buf_init(&pieces, SIZE_MAX / 2);
    const char *text = (const char *)data + 1;
    read_rows(text, size_bytes - 1, size_bytes, &whole);
    read_rows(text, size_bytes - 1, (size_t)data[0] + 1, &pieces);
    if (whole.size_bytes != pieces.size_bytes ||
        memcmp(whole.data, pieces.data, whole.size_bytes) != 0)
        abort();
    return 0;
}
