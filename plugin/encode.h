/*
 * A tuple in the wire form of change.proto (Row and its Values), written straight into a buffer.
 *
 * A value is sent as its type's text in UTF-8, or natively where every reader renders the same text
 * from it, or as null, unchanged, absent or omitted. Data never raises an error, which would
 * stop the slot for ever: what is too large, or what its output function or the conversion to UTF-8
 * refuses, is sent as omitted.
 */
#ifndef PGFORCE_PLUGIN_ENCODE_H
#define PGFORCE_PLUGIN_ENCODE_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

enum form {
    FORM_OUTPUT, /* call the type's output function */
    FORM_TEXT,   /* the datum's own bytes are the text */
    FORM_BOOL,   /* from here on: of fixed length, and cannot fail */
    FORM_INT2,
    FORM_INT4,
    FORM_INT8,
    FORM_OID,
    FORM_FLOAT4,
    FORM_FLOAT8,
    FORM_DATE,
    FORM_TIMESTAMP,
};

/* How one column is written. */
struct column_writer {
    int index; /* in the tuple, from 0 */
    bool is_key;
    bool is_varlena;
    enum form form;
    Size guard_above; /* a larger value's output function may fail: run it under guard */
    FmgrInfo output;
};

struct encoder {
    StringInfoData row;    /* the Row being written */
    Size reserved_bytes;   /* room in it that the values still to come may rely on */
    Size short_text_bytes; /* text up to this long is copied as it lies in the tuple */
    Size max_value_bytes;
    bool native;
    Oid conversion; /* the server's encoding to UTF-8; InvalidOid if there is nothing to convert */
    bool is_conversion_known;
    Datum *values; /* room to take a tuple apart */
    bool *is_null;
};

enum row_op { ROW_INSERT = 0, ROW_UPDATE = 1, ROW_DELETE = 2 };

struct row_change {
    enum row_op op;
    Oid relation;         /* under whose name it is sent */
    TransactionId subxid; /* in a streamed block; or invalid */
    TupleDesc descriptor;
    HeapTuple new_tuple; /* or NULL */
    HeapTuple old_tuple; /* or NULL */
    bool is_old_whole;   /* else only its key columns were logged */
};

void encoder_init(struct encoder *encoder, Size max_value_bytes, bool native);

/* Decides how to write a column; the writer's memory is the current context's. */
void encoder_prepare_column(struct encoder *encoder, struct column_writer *writer,
                            Form_pg_attribute attribute);

/* Fills encoder->row. What it allocates beyond is the current context's, to be reset after. */
void encoder_write_row(struct encoder *encoder, const struct row_change *change,
                       struct column_writer *columns, int column_count);

/* Text in UTF-8 for names and prefixes: what cannot be converted becomes '?'. */
char *encoder_text(struct encoder *encoder, const char *text);

#endif
