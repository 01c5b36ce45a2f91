#include "encode.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
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
    /* What a value takes beside its text: two tags and two lengths. */
    FRAME_BYTES = 2 + 2 * WIRE_VARINT_BYTES,
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
    initStringInfo(&encoder->row);
    encoder->values = palloc(sizeof(Datum) * MaxTupleAttributeNumber);
    encoder->is_null = palloc(sizeof(bool) * MaxTupleAttributeNumber);
}

/* The forms of types that a domain over them shares, as it shares the output function. */
static enum form native_form(Oid output_function)
{
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

static bool is_text_form(Oid output_function)
{
    return output_function == F_TEXTOUT || output_function == F_VARCHAROUT ||
           output_function == F_BPCHAROUT || output_function == F_JSON_OUT;
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

void encoder_prepare_column(const struct encoder *encoder, struct column_writer *writer,
                            Form_pg_attribute attribute)
{
    Oid output_function = output_function_of(attribute->atttypid);

    writer->index = attribute->attnum - 1;
    writer->is_varlena = attribute->attlen == -1;
    writer->guard_above = guard_limit(attribute->atttypid, output_function);
    writer->form = is_text_form(output_function)
                       ? FORM_TEXT
                       : (encoder->native ? native_form(output_function) : FORM_OUTPUT);
    fmgr_info(output_function, &writer->output);
}

static void write_marker(StringInfo row, char side, char tag, uint64 value)
{
    enlargeStringInfo(row, FRAME_BYTES);

    char *at = row->data + row->len;
    *at++ = side;
    *at++ = (char)(1 + wire_varint_bytes(value));
    *at++ = tag;
    at = wire_varint(at, value);
    row->len = (int)(at - row->data);
}

static void write_absent(StringInfo row, char side)
{
    enlargeStringInfo(row, 2);
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

static void write_omitted(StringInfo row, char side, Size size_bytes)
{
    write_marker(row, side, WIRE_TAG_VARINT(4), size_bytes);
}

static void write_bytes(StringInfo row, char side, const char *text, Size size_bytes)
{
    if (size_bytes > MAX_ROW_BYTES || row->len + size_bytes > MAX_ROW_BYTES) {
        write_omitted(row, side, size_bytes);
        return;
    }
    enlargeStringInfo(row, (int)size_bytes + FRAME_BYTES);

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
        write_bytes(&encoder->row, side, converted, converted_bytes);
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

static void write_integer(StringInfo row, char side, int64 value)
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

/* Whether the value is at fault, and not a cancelled query, a full memory or a broken disk. */
static bool is_of_the_data(int sqlerrcode)
{
    int category = ERRCODE_TO_CATEGORY(sqlerrcode);

    return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
           category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) &&
           category != ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR);
}

/*
 * Writes the value inside a subtransaction, which gives back whatever a failing output function
 * held, and sends it as omitted then. Costs about a microsecond.
 */
static void write_guarded(struct encoder *encoder, char side, struct column_writer *writer,
                          Datum value, Size size_bytes)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    int start = encoder->row.len;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        write_value(encoder, side, writer, value);
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

/* A side of the row: one Value per column. */
struct side {
    char tag;
    HeapTuple tuple;
    bool only_key;
};

static void write_side(struct encoder *encoder, const struct row_change *change, struct side side,
                       struct column_writer *columns, int column_count)
{
    heap_deform_tuple(side.tuple, change->descriptor, encoder->values, encoder->is_null);
    for (int i = 0; i < column_count; i++) {
        struct column_writer *writer = &columns[i];

        if (side.only_key && !writer->is_key)
            write_absent(&encoder->row, side.tag);
        else if (encoder->is_null[writer->index])
            write_null(&encoder->row, side.tag);
        else
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
}
