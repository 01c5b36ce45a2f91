#include "encode.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "compat.h"
#include "decimal.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "wire.h"

enum {
    KEPT_BYTES = 1 << 20,
    /* Fields of Row that carry values. */
    SIDE_NEW = WIRE_TAG_BYTES(3),
    SIDE_OLD = WIRE_TAG_BYTES(4),
    /* What a value takes beside its text: two tags and two lengths. Also more than a number takes.
     */
    FRAME_BYTES = 2 + 2 * WIRE_VARINT_BYTES,
    /* Above this the lengths of a text and of its Value may take more than a byte each. */
    SHORT_TEXT_BYTES = 125,
};

/* Beyond this a value is omitted, so that the message of a row stays below 1 GB. */
static const Size MAX_ROW_BYTES = 1000000000;

/*
 * How large a value may be for its output function to run without guard. Text of the first kind is
 * at most a few times as long as the value (the longest is numeric, 150 KB at most). The second
 * kind nests the first: NULLs and short numerics make 40 to 15,000 bytes of text from one. Other
 * functions may do anything.
 */
static const Size GUARD_SIMPLE_ABOVE = 1024 * 1024;
static const Size GUARD_NESTED_ABOVE = 32 * 1024;

void encoder_init(struct encoder *encoder, Size max_value_bytes, bool native)
{
    *encoder = (struct encoder){.max_value_bytes = max_value_bytes, .native = native};
    encoder->short_text_bytes = Min(max_value_bytes, SHORT_TEXT_BYTES);
    initStringInfo(&encoder->row);
    encoder->values = palloc(sizeof(Datum) * MaxTupleAttributeNumber);
    encoder->is_null = palloc(sizeof(bool) * MaxTupleAttributeNumber);
}

/*
 * How values of an output function are written without calling it; a domain shares its type's. The
 * text of the first two needs no native form. extra_float_digits is pinned, so the shortest text is
 * what float8out writes.
 */
static enum form form_of(Oid output_function, bool native)
{
    switch (output_function) {
    case F_TEXTOUT:
    case F_VARCHAROUT:
    case F_BPCHAROUT:
    case F_JSON_OUT: return FORM_TEXT;
    case F_FLOAT4OUT: return FORM_FLOAT4;
    case F_FLOAT8OUT: return FORM_FLOAT8;
    default: break;
    }
    if (!native)
        return FORM_OUTPUT;
    switch (output_function) {
    case F_BOOLOUT: return FORM_BOOL;
    case F_INT2OUT: return FORM_INT2;
    case F_INT4OUT: return FORM_INT4;
    case F_INT8OUT: return FORM_INT8;
    case F_OIDOUT: return FORM_OID;
    case F_DATE_OUT: return FORM_DATE;
    case F_TIMESTAMP_OUT: return FORM_TIMESTAMP;
    default: return FORM_OUTPUT;
    }
}

static bool is_simple(Oid output_function)
{
    switch (output_function) {
    case F_BOOLOUT:
    case F_INT2OUT:
    case F_INT4OUT:
    case F_INT8OUT:
    case F_OIDOUT:
    case F_XIDOUT:
    case F_FLOAT4OUT:
    case F_FLOAT8OUT:
    case F_NUMERIC_OUT:
    case F_CASH_OUT:
    case F_DATE_OUT:
    case F_TIME_OUT:
    case F_TIMETZ_OUT:
    case F_TIMESTAMP_OUT:
    case F_TIMESTAMPTZ_OUT:
    case F_INTERVAL_OUT:
    case F_TEXTOUT:
    case F_VARCHAROUT:
    case F_BPCHAROUT:
    case F_NAMEOUT:
    case F_CHAROUT:
    case F_JSON_OUT:
    case F_UUID_OUT:
    case F_BYTEAOUT:
    case F_BIT_OUT:
    case F_VARBIT_OUT:
    case F_INET_OUT:
    case F_CIDR_OUT:
    case F_MACADDR_OUT:
    case F_MACADDR8_OUT:
    case F_PG_LSN_OUT:
    case F_ENUM_OUT: return true;
    default: return false;
    }
}

/* The catalog can only be asked inside a transaction, so at the first text and not at startup. */
static Oid conversion_of(struct encoder *encoder)
{
    int encoding = GetDatabaseEncoding();

    if (!encoder->is_conversion_known) {
        encoder->conversion = encoding == PG_UTF8 || encoding == PG_SQL_ASCII
                                  ? InvalidOid
                                  : FindDefaultConversionProc(encoding, PG_UTF8);
        encoder->is_conversion_known = true;
    }
    return encoder->conversion;
}

static Oid output_function_of(Oid type)
{
    Oid output_function;
    bool is_varlena;

    getTypeOutputInfo(type, &output_function, &is_varlena);
    return output_function;
}

static Size guard_limit(Oid type, Oid output_function)
{
    if (is_simple(output_function))
        return GUARD_SIMPLE_ABOVE;
    if (output_function == F_JSONB_OUT)
        return GUARD_NESTED_ABOVE;
    if (output_function == F_ARRAY_OUT) {
        Oid element = get_base_element_type(type);
        if (OidIsValid(element) && is_simple(output_function_of(element)))
            return GUARD_NESTED_ABOVE;
    }
    return 0;
}

void encoder_prepare_column(struct encoder *encoder, struct column_writer *writer,
                            Form_pg_attribute attribute)
{
    Oid output_function = output_function_of(attribute->atttypid);

    if (OidIsValid(conversion_of(encoder)))
        encoder->short_text_bytes = 0;
    writer->index = attribute->attnum - 1;
    writer->is_varlena = attribute->attlen == -1;
    writer->guard_above = guard_limit(attribute->atttypid, output_function);
    writer->form = form_of(output_function, encoder->native);
    fmgr_info(output_function, &writer->output);
}

/*
 * The writers below find room for FRAME_BYTES: write_side reserves that for each value that is
 * still to come, and whatever takes more restores it.
 */
static inline void write_marker(StringInfo row, char side, char tag, uint64 value)
{
    char *at = row->data + row->len;
    char *end = wire_varint(at + 3, value);

    at[0] = side;
    at[1] = (char)(end - at - 2);
    at[2] = tag;
    row->len = (int)(end - row->data);
}

static void write_absent(StringInfo row, char side)
{
    row->data[row->len++] = side;
    row->data[row->len++] = 0;
}

static void write_null(StringInfo row, char side)
{
    write_marker(row, side, WIRE_TAG_VARINT(2), 1);
}

static void write_unchanged(StringInfo row, char side)
{
    write_marker(row, side, WIRE_TAG_VARINT(3), 1);
}

static pg_noinline void write_omitted(StringInfo row, char side, Size size_bytes)
{
    write_marker(row, side, WIRE_TAG_VARINT(4), size_bytes);
}

static inline void write_bytes(struct encoder *encoder, char side, const char *text,
                               Size size_bytes)
{
    StringInfo row = &encoder->row;

    if (size_bytes > MAX_ROW_BYTES || row->len + size_bytes > MAX_ROW_BYTES) {
        write_omitted(row, side, size_bytes);
        return;
    }
    if ((Size)(row->maxlen - row->len) <= size_bytes + encoder->reserved_bytes)
        enlargeStringInfo(row, (int)(size_bytes + encoder->reserved_bytes));

    char *at = row->data + row->len;
    *at++ = side;
    at = wire_varint(at, 1 + wire_varint_bytes(size_bytes) + size_bytes);
    *at++ = WIRE_TAG_BYTES(1); /* Value.text */
    at = wire_varint(at, size_bytes);
    memcpy(at, text, size_bytes);
    row->len = (int)(at + size_bytes - row->data);
}

static bool is_ascii(const char *text, Size size_bytes)
{
    unsigned char all = 0;

    for (Size i = 0; i < size_bytes; i++)
        all |= (unsigned char)text[i];
    return all < 0x80;
}

/* Text in UTF-8 and its size, or NULL if it cannot be converted. */
static char *convert(struct encoder *encoder, const char *text, Size *size_bytes)
{
    if (!OidIsValid(conversion_of(encoder)) || is_ascii(text, *size_bytes))
        return (char *)text;
    if (*size_bytes > MAX_ROW_BYTES)
        return NULL;

    Size room = *size_bytes * MAX_CONVERSION_GROWTH + 1;
    if (room > INT_MAX)
        return NULL;
    char *converted = MemoryContextAllocHuge(CurrentMemoryContext, room);
    int done = pg_do_encoding_conversion_buf(encoder->conversion, GetDatabaseEncoding(), PG_UTF8,
                                             (unsigned char *)text, (int)*size_bytes,
                                             (unsigned char *)converted, (int)room, true);
    if ((Size)done < *size_bytes)
        return NULL;
    *size_bytes = strlen(converted);
    return converted;
}

char *encoder_text(struct encoder *encoder, const char *text)
{
    Size size_bytes = strlen(text);
    char *converted = convert(encoder, text, &size_bytes);

    if (converted != NULL)
        return converted;
    converted = pstrdup(text);
    for (char *at = converted; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return converted;
}

static void write_text(struct encoder *encoder, char side, const char *text, Size size_bytes)
{
    Size converted_bytes = size_bytes;
    const char *converted =
        size_bytes > encoder->max_value_bytes ? NULL : convert(encoder, text, &converted_bytes);

    if (converted == NULL)
        write_omitted(&encoder->row, side, size_bytes);
    else
        write_bytes(encoder, side, converted, converted_bytes);
}

static void write_ascii(struct encoder *encoder, char side, const char *text, Size size_bytes)
{
    if (size_bytes > encoder->max_value_bytes)
        write_omitted(&encoder->row, side, size_bytes);
    else
        write_bytes(encoder, side, text, size_bytes);
}

static void write_output(struct encoder *encoder, char side, struct column_writer *writer,
                         Datum value)
{
    const char *text = OutputFunctionCall(&writer->output, value);

    write_text(encoder, side, text, strlen(text));
}

/* Takes compressed values apart; an unchanged one never comes here. */
static void write_datum_text(struct encoder *encoder, char side, Datum value)
{
    struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

    write_text(encoder, side, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

static void write_float4(struct encoder *encoder, char side, float4 value)
{
    char text[FLOAT_SHORTEST_DECIMAL_LEN];

    write_ascii(encoder, side, text, (Size)float_to_shortest_decimal_buf(value, text));
}

static void write_float8(struct encoder *encoder, char side, float8 value)
{
    char text[Max(DOUBLE_SHORTEST_DECIMAL_LEN, DECIMAL_BYTES)];
    int size_bytes = decimal_write(value, text);

    if (size_bytes == 0)
        size_bytes = double_to_shortest_decimal_buf(value, text);
    write_ascii(encoder, side, text, (Size)size_bytes);
}

static inline void write_integer(StringInfo row, char side, int64 value)
{
    write_marker(row, side, WIRE_TAG_VARINT(6), wire_zigzag(value));
}

static void write_value(struct encoder *encoder, char side, struct column_writer *writer,
                        Datum value)
{
    StringInfo row = &encoder->row;

    switch (writer->form) {
    case FORM_TEXT: write_datum_text(encoder, side, value); return;
    case FORM_BOOL: write_marker(row, side, WIRE_TAG_VARINT(5), DatumGetBool(value)); return;
    case FORM_INT2: write_integer(row, side, DatumGetInt16(value)); return;
    case FORM_INT4: write_integer(row, side, DatumGetInt32(value)); return;
    case FORM_INT8: write_integer(row, side, DatumGetInt64(value)); return;
    case FORM_OID: write_integer(row, side, DatumGetObjectId(value)); return;
    case FORM_FLOAT4: write_float4(encoder, side, DatumGetFloat4(value)); return;
    case FORM_FLOAT8: write_float8(encoder, side, DatumGetFloat8(value)); return;
    case FORM_DATE:
        if (DATE_NOT_FINITE(DatumGetDateADT(value)))
            break;
        write_marker(row, side, WIRE_TAG_VARINT(7), wire_zigzag(DatumGetDateADT(value)));
        return;
    case FORM_TIMESTAMP:
        if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
            break;
        write_marker(row, side, WIRE_TAG_VARINT(8), wire_zigzag(DatumGetTimestamp(value)));
        return;
    case FORM_OUTPUT: break;
    }
    write_output(encoder, side, writer, value);
}

/*
 * Whether the value is at fault, and not a cancelled query, a full memory, a broken disk, or a
 * transaction in progress that was rolled back while its catalog was read.
 */
static bool is_of_the_data(int sqlerrcode)
{
    int category = ERRCODE_TO_CATEGORY(sqlerrcode);

    return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
           category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) &&
           category != ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) &&
           category != ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR);
}

/* Not inlined: what lives in registers across PG_TRY would be lost. */
static pg_noinline void write_value_apart(struct encoder *encoder, char side,
                                          struct column_writer *writer, Datum value)
{
    write_value(encoder, side, writer, value);
}

/*
 * Writes the value inside a subtransaction, which gives back whatever a failing output function
 * held, and sends it as omitted then. Costs about a microsecond.
 */
static pg_noinline void write_guarded(struct encoder *encoder, char side,
                                      struct column_writer *writer, Datum value, Size size_bytes)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    int start = encoder->row.len;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        write_value_apart(encoder, side, writer, value);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData *error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (!is_of_the_data(error->sqlerrcode))
            ReThrowError(error);
        FreeErrorData(error);
        encoder->row.len = start;
        write_omitted(&encoder->row, side, size_bytes);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
}

/* Without its header, as if it were neither compressed nor moved out of the row. */
static Size raw_bytes(Datum value)
{
    struct varlena *bytes = (struct varlena *)DatumGetPointer(value);

    return VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes)
               ? toast_raw_datum_size(value) - VARHDRSZ
               : VARSIZE_ANY_EXHDR(bytes);
}

static void write_column(struct encoder *encoder, char side, struct column_writer *writer,
                         Datum value)
{
    Size size_bytes = 0;

    if (writer->is_varlena) {
        if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value))) {
            write_unchanged(&encoder->row, side);
            return;
        }
        size_bytes = raw_bytes(value);
        if (size_bytes > encoder->max_value_bytes) {
            write_omitted(&encoder->row, side, size_bytes);
            return;
        }
    }
    if (size_bytes > writer->guard_above || writer->guard_above == 0)
        write_guarded(encoder, side, writer, value, size_bytes);
    else
        write_value(encoder, side, writer, value);
}

/*
 * The commonest case: text as it lies in the tuple, short, and in UTF-8 already. False if it is
 * none.
 */
static inline bool write_short_text(struct encoder *encoder, char side, Datum value)
{
    const struct varlena *bytes = (const struct varlena *)DatumGetPointer(value);
    StringInfo row = &encoder->row;

    if (!VARATT_IS_SHORT(bytes))
        return false;

    Size size_bytes = VARSIZE_SHORT(bytes) - VARHDRSZ_SHORT;
    if (size_bytes > encoder->short_text_bytes)
        return false;
    if ((Size)(row->maxlen - row->len) <= size_bytes + encoder->reserved_bytes)
        enlargeStringInfo(row, (int)(size_bytes + encoder->reserved_bytes));

    char *at = row->data + row->len;
    at[0] = side;
    at[1] = (char)(2 + size_bytes);
    at[2] = WIRE_TAG_BYTES(1); /* Value.text */
    at[3] = (char)size_bytes;
    memcpy(at + 4, VARDATA_SHORT(bytes), size_bytes);
    row->len += 4 + (int)size_bytes;
    return true;
}

static void write_subxid(StringInfo row, TransactionId subxid)
{
    if (!TransactionIdIsValid(subxid))
        return;
    enlargeStringInfo(row, FRAME_BYTES);
    row->data[row->len++] = WIRE_TAG_VARINT(5);
    row->len = (int)(wire_varint(row->data + row->len, subxid) - row->data);
}

/* A side of the row: one Value per column. */
struct side {
    char tag;
    HeapTuple tuple;
    bool only_key;
};

static void write_side(struct encoder *encoder, const struct row_change *change, struct side side,
                       struct column_writer *columns, int column_count)
{
    StringInfo row = &encoder->row;

    heap_deform_tuple(side.tuple, change->descriptor, encoder->values, encoder->is_null);
    encoder->reserved_bytes = (Size)column_count * FRAME_BYTES;
    enlargeStringInfo(row, (int)encoder->reserved_bytes);
    for (int i = 0; i < column_count; i++) {
        struct column_writer *writer = &columns[i];

        if (side.only_key && !writer->is_key)
            write_absent(row, side.tag);
        else if (encoder->is_null[writer->index])
            write_null(row, side.tag);
        else if (writer->form >= FORM_BOOL)
            write_value(encoder, side.tag, writer, encoder->values[writer->index]);
        else if (writer->form != FORM_TEXT ||
                 !write_short_text(encoder, side.tag, encoder->values[writer->index]))
            write_column(encoder, side.tag, writer, encoder->values[writer->index]);
    }
}

void encoder_write_row(struct encoder *encoder, const struct row_change *change,
                       struct column_writer *columns, int column_count)
{
    StringInfo row = &encoder->row;

    wire_clear(row, KEPT_BYTES);
    enlargeStringInfo(row, FRAME_BYTES);
    if (change->op != ROW_INSERT) {
        row->data[row->len++] = WIRE_TAG_VARINT(1);
        row->data[row->len++] = (char)change->op;
    }
    row->data[row->len++] = WIRE_TAG_VARINT(2);
    row->len = (int)(wire_varint(row->data + row->len, change->relation) - row->data);
    if (change->new_tuple != NULL)
        write_side(encoder, change, (struct side){SIDE_NEW, change->new_tuple, false}, columns,
                   column_count);
    if (change->old_tuple != NULL)
        write_side(encoder, change,
                   (struct side){SIDE_OLD, change->old_tuple, !change->is_old_whole}, columns,
                   column_count);
    write_subxid(row, change->subxid);
}
