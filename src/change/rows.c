#include "change/rows.h"

#include <stdlib.h>

#include "base/arena.h"
#include "change/native.h"

enum {
    /* Of Row, as one byte: its field number and WIRE_BYTES. */
    TAG_NEW = 3 << 3 | WIRE_BYTES,
    TAG_OLD = 4 << 3 | WIRE_BYTES,
    /* Of Value. */
    TAG_TEXT = 1 << 3 | WIRE_BYTES,
    TAG_NULL = 2 << 3 | WIRE_VARINT,
    /* A tag or a length below this takes one byte. */
    ONE_BYTE = 0x80,
};

static const char MALFORMED[] = "a malformed Row, or one of a Relation that was not sent";

/* One side of a row while it is read. */
struct side {
    struct value *values;
    char *texts;
    size_t count;
};

void rows_done(struct rows *rows)
{
    free(rows->values);
    free(rows->texts);
    *rows = (struct rows){0};
}

static void make_room(struct rows *rows, size_t column_count)
{
    if (column_count <= rows->column_room)
        return;
    rows_done(rows);
    rows->values = memory_alloc(2 * column_count * sizeof(*rows->values));
    rows->texts = memory_alloc(2 * column_count * NATIVE_BYTES);
    rows->column_room = column_count;
}

static bool render(const struct wire_field *field, struct value *value, char *text)
{
    int64_t number = wire_zigzag(field->scalar);

    value->kind = VALUE_TEXT;
    value->text = text;
    switch (field->number) {
    case 5:
        text[0] = field->scalar != 0 ? 't' : 'f';
        value->size_bytes = 1;
        return true;
    case 6: value->size_bytes = native_integer(text, number); return true;
    case 7:
        value->size_bytes = native_date(text, (int32_t)number);
        return number >= INT32_MIN && number <= INT32_MAX;
    case 8: value->size_bytes = native_timestamp(text, number); return true;
    default: return false;
    }
}

/* A Value is nothing at all (absent) or exactly one field. */
static bool read_value(struct wire bytes, struct value *value, char *text)
{
    struct wire_field field;

    if (bytes.at == bytes.end) {
        *value = (struct value){.kind = VALUE_ABSENT};
        return true;
    }
    if (!wire_next(&bytes, &field) || bytes.at != bytes.end)
        return false;
    if ((field.number == 1) != (field.type == WIRE_BYTES))
        return false;
    if (field.number != 1 && field.type != WIRE_VARINT)
        return false;

    *value = (struct value){.kind = VALUE_NULL};
    switch (field.number) {
    case 1:
        value->kind = VALUE_TEXT;
        value->text = (const char *)field.bytes.at;
        value->size_bytes = wire_size(field.bytes);
        return true;
    case 2: return field.scalar == 1;
    case 3: value->kind = VALUE_UNCHANGED; return field.scalar == 1;
    case 4:
        value->kind = VALUE_OMITTED;
        value->size_bytes = field.scalar;
        return true;
    default: return render(&field, value, text);
    }
}

/* The commonest Values: null, and a text whose length is one byte. False for all others. */
static inline bool read_short_value(struct wire bytes, struct value *value)
{
    size_t size_bytes = wire_size(bytes);

    if (size_bytes < 2 || bytes.at[1] >= ONE_BYTE)
        return false;
    if (bytes.at[0] == TAG_TEXT && bytes.at[1] == size_bytes - 2) {
        *value = (struct value){
            .kind = VALUE_TEXT, .text = (const char *)bytes.at + 2, .size_bytes = size_bytes - 2};
        return true;
    }
    if (bytes.at[0] == TAG_NULL && bytes.at[1] == 1 && size_bytes == 2) {
        *value = (struct value){.kind = VALUE_NULL};
        return true;
    }
    return false;
}

/* The values of one side that follow each other, tag by tag. */
static bool read_values(struct wire *bytes, struct side *side, uint8_t tag, size_t column_count)
{
    struct wire value;

    while (bytes->at < bytes->end && *bytes->at == tag) {
        bytes->at++;
        if (side->count == column_count || !wire_bytes(bytes, &value))
            return false;
        if (!read_short_value(value, &side->values[side->count]) &&
            !read_value(value, &side->values[side->count],
                        side->texts + side->count * NATIVE_BYTES))
            return false;
        side->count++;
    }
    return true;
}

/* INSERT and UPDATE have a new side, DELETE has none; every side has all columns. */
static bool finish_row(struct row *row, const struct side *old_side, const struct side *new_side)
{
    size_t columns = row->relation->column_count;
    bool has_new = row->op != ROW_DELETE;

    if (new_side->count != (has_new ? columns : 0))
        return false;
    if (old_side->count != 0 && (old_side->count != columns || row->op == ROW_INSERT))
        return false;
    row->new_values = has_new ? new_side->values : NULL;
    row->old_values = old_side->count > 0 ? old_side->values : NULL;
    return true;
}

/* The fields that come once. */
static bool read_field(struct relations *relations, struct wire *bytes, struct event *event,
                       uint64_t *op)
{
    struct wire_field field;

    if (!wire_next(bytes, &field))
        return false;
    switch (field.number) {
    case 1: *op = field.scalar; return true;
    case 2:
        if (event->row.relation != NULL)
            return false;
        event->row.relation = relations_find(relations, field.scalar);
        return event->row.relation != NULL;
    case 3:
    case 4: return false; /* no value: those are read before */
    case 5: event->subxid = (uint32_t)field.scalar; return true;
    default: return true;
    }
}

const char *rows_read(struct rows *rows, struct relations *relations, struct wire bytes,
                      struct event *event)
{
    struct row *row = &event->row;
    struct side new_side = {0};
    struct side old_side = {0};
    uint64_t op = ROW_INSERT;

    *row = (struct row){0};
    while (bytes.at < bytes.end) {
        bool is_good = true;

        if (row->relation != NULL && *bytes.at == TAG_NEW)
            is_good = read_values(&bytes, &new_side, TAG_NEW, row->relation->column_count);
        else if (row->relation != NULL && *bytes.at == TAG_OLD)
            is_good = read_values(&bytes, &old_side, TAG_OLD, row->relation->column_count);
        else
            is_good = read_field(relations, &bytes, event, &op);
        if (!is_good)
            return MALFORMED;
        if (row->relation != NULL && new_side.values == NULL) {
            make_room(rows, row->relation->column_count > 0 ? row->relation->column_count : 1);
            new_side.values = rows->values;
            new_side.texts = rows->texts;
            old_side.values = rows->values + rows->column_room;
            old_side.texts = rows->texts + rows->column_room * NATIVE_BYTES;
        }
    }
    if (op > ROW_DELETE || row->relation == NULL)
        return "a Row without Relation or of an unknown kind";
    row->op = (enum row_op)op;
    if (!finish_row(row, &old_side, &new_side))
        return "a Row that does not have its Relation's columns";
    return NULL;
}
