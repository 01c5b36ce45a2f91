/*
 * A growing byte buffer with a limit that must be named when it is made.
 *
 * The text it holds always ends with a zero byte, so it can be read as a string. Passing the limit
 * is remembered, not fatal: appends after it do nothing, and buf_is_full says so once at the end.
 */
#ifndef PGFORCE_BASE_BUF_H
#define PGFORCE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* never NULL after buf_init; data[size_bytes] is 0 */
    size_t size_bytes;
    size_t room_bytes;
    size_t max_bytes;
    bool is_full;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);
void buf_clear(struct buf *buf);

void buf_append(struct buf *buf, const void *data, size_t size_bytes);
void buf_text(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char character);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True once an append was refused because of max_bytes: what is there is not the whole. */
bool buf_is_full(const struct buf *buf);

/* `struct buf x __attribute__((cleanup(buf_done)))` frees itself. */
#define BUF_AUTO __attribute__((cleanup(buf_done)))

#endif
