/*
 * The protobuf wire format, read in place: a message is a run of fields, each a tag (number << 3 |
 * type) and a varint, eight bytes, four bytes, or a length and that many bytes.
 *
 * Nothing is copied and nothing is allocated; hostile bytes make a function answer false. It knows
 * no message of ours: change.c does. Source: Protocol Buffers Documentation, Encoding.
 */
#ifndef PGFORCE_CHANGE_WIRE_H
#define PGFORCE_CHANGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t scalar;   /* all types but WIRE_BYTES */
    struct wire bytes; /* WIRE_BYTES */
};

static inline size_t wire_size(struct wire wire)
{
    return (size_t)(wire.end - wire.at);
}

/* At most ten bytes; the tenth may only hold the 64th bit. */
static inline bool wire_varint(struct wire *wire, uint64_t *value)
{
    if (wire->at < wire->end && *wire->at < 0x80) {
        *value = *wire->at++;
        return true;
    }

    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

static inline bool wire_bytes(struct wire *wire, struct wire *bytes)
{
    uint64_t size;

    if (!wire_varint(wire, &size) || size > wire_size(*wire))
        return false;
    *bytes = (struct wire){wire->at, wire->at + size};
    wire->at += size;
    return true;
}

/* Little-endian, size_bytes of them (4 or 8). */
static inline bool wire_fixed(struct wire *wire, unsigned size_bytes, uint64_t *value)
{
    if (wire_size(*wire) < size_bytes)
        return false;
    *value = 0;
    for (unsigned i = 0; i < size_bytes; i++)
        *value |= (uint64_t)wire->at[i] << (8 * i);
    wire->at += size_bytes;
    return true;
}

/* The next field of a message that has bytes left. Groups (types 3 and 4) are refused. */
static inline bool wire_next(struct wire *wire, struct wire_field *field)
{
    uint64_t tag;

    if (!wire_varint(wire, &tag) || tag >> 3 == 0 || tag >> 32 != 0)
        return false;
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)(tag & 7);
    field->scalar = 0;
    field->bytes = (struct wire){0};
    switch (field->type) {
    case WIRE_BYTES: return wire_bytes(wire, &field->bytes);
    case WIRE_VARINT: return wire_varint(wire, &field->scalar);
    case WIRE_FIXED64: return wire_fixed(wire, 8, &field->scalar);
    case WIRE_FIXED32: return wire_fixed(wire, 4, &field->scalar);
    }
    return false;
}

static inline int64_t wire_zigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

#endif
