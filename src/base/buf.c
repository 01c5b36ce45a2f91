#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes, .room_bytes = FIRST_BYTES};
    buf->data = memory_alloc(FIRST_BYTES);
}

void buf_done(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->size_bytes = 0;
    buf->data[0] = '\0';
    buf->is_full = false;
}

static bool make_room(struct buf *buf, size_t size_bytes)
{
    if (buf->is_full || size_bytes > buf->max_bytes - buf->size_bytes) {
        buf->is_full = true;
        return false;
    }

    size_t needed = buf->size_bytes + size_bytes + 1;
    if (needed > buf->room_bytes) {
        while (buf->room_bytes < needed)
            buf->room_bytes *= 2;
        buf->data = memory_realloc(buf->data, buf->room_bytes);
    }
    return true;
}

void buf_append(struct buf *buf, const void *data, size_t size_bytes)
{
    if (size_bytes == 0 || !make_room(buf, size_bytes))
        return;
    memcpy(buf->data + buf->size_bytes, data, size_bytes);
    buf->size_bytes += size_bytes;
    buf->data[buf->size_bytes] = '\0';
}

void buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char character)
{
    buf_append(buf, &character, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length <= 0 || !make_room(buf, (size_t)length))
        return;

    va_start(args, format);
    vsnprintf(buf->data + buf->size_bytes, (size_t)length + 1, format, args);
    va_end(args);
    buf->size_bytes += (size_t)length;
}

bool buf_is_full(const struct buf *buf)
{
    return buf->is_full;
}
