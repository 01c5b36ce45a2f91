/*
 * The protobuf wire format, written by hand into a StringInfo: tags, varints and fixed integers, in
 * the shortest form, as protobuf-c would write them.
 *
 * Source: Protocol Buffers Documentation, Encoding.
 */
#ifndef PGFORCE_PLUGIN_WIRE_H
#define PGFORCE_PLUGIN_WIRE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

/* A tag is field << 3 | type; one byte for fields up to 15. */
#define WIRE_TAG_VARINT(field)  ((field) << 3 | 0)
#define WIRE_TAG_FIXED64(field) ((field) << 3 | 1)
#define WIRE_TAG_BYTES(field)   ((field) << 3 | 2)

/* The longest varint. */
enum { WIRE_VARINT_BYTES = 10 };

static inline Size wire_varint_bytes(uint64 value)
{
    Size count = 1;

    while (value >= 0x80) {
        value >>= 7;
        count++;
    }
    return count;
}

/* Writes where there is room and answers where it ended. */
static inline char *wire_varint(char *at, uint64 value)
{
    while (value >= 0x80) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

static inline uint64 wire_zigzag(int64 value)
{
    return ((uint64)value << 1) ^ (uint64)(value >> 63);
}

static inline char *wire_fixed64(char *at, uint64 value)
{
    for (int i = 0; i < 8; i++)
        *at++ = (char)(value >> (8 * i));
    return at;
}

/* Empties a buffer, and gives its memory back if it has grown beyond kept_bytes. */
static inline void wire_clear(StringInfo buffer, int kept_bytes)
{
    if (buffer->maxlen <= kept_bytes) {
        resetStringInfo(buffer);
        return;
    }

    MemoryContext owner = GetMemoryChunkContext(buffer->data);
    pfree(buffer->data);
    MemoryContext before = MemoryContextSwitchTo(owner);
    initStringInfo(buffer);
    MemoryContextSwitchTo(before);
}

#endif
