#include "tail/format_debezium.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "change/change_json.h"

/* What Debezium writes for a TOASTed value that the server did not log. */
static const char unavailable[] = "__debezium_unavailable_value";

/* pg_type.dat: the types whose values are numbers or booleans of JSON. */
enum {
    BOOL_OID = 16,
    INT8_OID = 20,
    INT2_OID = 21,
    INT4_OID = 23,
    OID_OID = 26,
    FLOAT4_OID = 700,
    FLOAT8_OID = 701,
};

struct printer {
    struct buf *out;
    const struct event *event;
    const struct format_options *options;
};

static void put_string(struct buf *out, const char *text)
{
    change_json_string(out, text, strlen(text));
}

static bool is_number_type(uint32_t type_oid)
{
    return type_oid == INT8_OID || type_oid == INT2_OID || type_oid == INT4_OID ||
           type_oid == OID_OID || type_oid == FLOAT4_OID || type_oid == FLOAT8_OID;
}

static size_t digits(const char *text, size_t size_bytes)
{
    size_t count = 0;

    while (count < size_bytes && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* RFC 8259, section 6. NaN and what stands for a redacted value are no numbers. */
static bool is_json_number(const char *text, size_t size_bytes)
{
    const char *end = text + size_bytes;
    size_t count;

    if (text < end && *text == '-')
        text++;
    count = digits(text, (size_t)(end - text));
    if (count == 0 || (count > 1 && *text == '0'))
        return false;
    text += count;
    if (text < end && *text == '.') {
        count = digits(text + 1, (size_t)(end - text - 1));
        if (count == 0)
            return false;
        text += 1 + count;
    }
    if (text < end && (*text == 'e' || *text == 'E')) {
        text++;
        if (text < end && (*text == '+' || *text == '-'))
            text++;
        count = digits(text, (size_t)(end - text));
        if (count == 0)
            return false;
        text += count;
    }
    return text == end;
}

static void put_text(struct buf *out, const struct column *column, const struct value *value)
{
    bool is_flag = column->type_oid == BOOL_OID && value->size_bytes == 1;

    if (is_flag && value->text[0] == 't')
        buf_text(out, "true");
    else if (is_flag && value->text[0] == 'f')
        buf_text(out, "false");
    else if (is_number_type(column->type_oid) && is_json_number(value->text, value->size_bytes))
        buf_append(out, value->text, value->size_bytes);
    else
        change_json_string(out, value->text, value->size_bytes);
}

/* What an update left alone is taken from the old row, where it is known. */
static const struct value *effective_value(const struct value *values, const struct value *others,
                                           size_t i)
{
    bool is_filled = values[i].kind == VALUE_UNCHANGED && others != NULL &&
                     (others[i].kind == VALUE_TEXT || others[i].kind == VALUE_NULL);

    return is_filled ? &others[i] : &values[i];
}

static void put_values(struct buf *out, const struct relation *relation, const struct value *values,
                       const struct value *others)
{
    const char *separator = "";

    if (values == NULL) {
        buf_text(out, "null");
        return;
    }
    buf_char(out, '{');
    for (size_t i = 0; i < relation->column_count; i++) {
        const struct value *value = effective_value(values, others, i);

        if (value->kind == VALUE_ABSENT)
            continue;
        buf_text(out, separator);
        separator = ",";
        put_string(out, relation->columns[i].name);
        buf_char(out, ':');
        if (value->kind == VALUE_TEXT)
            put_text(out, &relation->columns[i], value);
        else if (value->kind == VALUE_NULL)
            buf_text(out, "null");
        else
            put_string(out, unavailable);
    }
    buf_char(out, '}');
}

static int64_t commit_time_us(const struct event *event)
{
    return event->transaction != NULL ? event->transaction->commit_time_us : clock_wall_us();
}

static void put_source(const struct printer *printer, const struct relation *relation, lsn_t lsn)
{
    const struct event *event = printer->event;
    struct buf *out = printer->out;
    const char *database = printer->options->database_name;
    int64_t time_us = commit_time_us(event);

    buf_text(out, "\"source\":{\"version\":\"pgforce " PGFORCE_VERSION
                  "\",\"connector\":\"postgresql\",\"name\":\"pgforce\"");
    buf_printf(out, ",\"ts_ms\":%" PRId64 ",\"ts_us\":%" PRId64, time_us / 1000, time_us);
    buf_text(out, ",\"snapshot\":\"false\",\"db\":");
    put_string(out, database != NULL ? database : "");
    buf_text(out, ",\"schema\":");
    put_string(out, relation != NULL ? relation->schema : "");
    buf_text(out, ",\"table\":");
    put_string(out, relation != NULL ? relation->table : "");
    if (event->transaction != NULL)
        buf_printf(out, ",\"txId\":%u", event->transaction->xid);
    else
        buf_text(out, ",\"txId\":null");
    buf_printf(out, ",\"lsn\":%" PRIu64 ",\"xmin\":null}", lsn);
}

static void put_tail(const struct printer *printer, const char *op)
{
    const struct transaction *transaction = printer->event->transaction;

    buf_printf(printer->out, ",\"op\":\"%s\",\"ts_ms\":%" PRId64, op, clock_wall_us() / 1000);
    if (transaction != NULL)
        buf_printf(printer->out,
                   ",\"transaction\":{\"id\":\"%u:%" PRIu64 "\",\"total_order\":%u}}}\n",
                   transaction->xid, transaction->end_lsn, printer->event->seq);
    else
        buf_text(printer->out, ",\"transaction\":null}}\n");
}

static void put_row(const struct printer *printer)
{
    static const char *const ops[] = {[ROW_INSERT] = "c", [ROW_UPDATE] = "u", [ROW_DELETE] = "d"};
    const struct row *row = &printer->event->row;
    struct buf *out = printer->out;

    buf_text(out, "{\"schema\":null,\"payload\":{\"before\":");
    put_values(out, row->relation, row->old_values, NULL);
    buf_text(out, ",\"after\":");
    put_values(out, row->relation, row->new_values, row->old_values);
    buf_char(out, ',');
    put_source(printer, row->relation, printer->event->transaction->end_lsn);
    put_tail(printer, ops[row->op]);
}

static void put_truncate(const struct printer *printer)
{
    const struct truncate *truncate = &printer->event->truncate;

    for (size_t i = 0; i < truncate->relation_count; i++) {
        buf_text(printer->out, "{\"schema\":null,\"payload\":{\"before\":null,\"after\":null,");
        put_source(printer, truncate->relations[i], printer->event->transaction->end_lsn);
        put_tail(printer, "t");
    }
}

/* RFC 4648, section 4: how Debezium carries the content of messages. */
static void put_base64(struct buf *out, const char *content, size_t size_bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)content;

    buf_char(out, '"');
    for (size_t i = 0; i < size_bytes; i += 3) {
        size_t count = size_bytes - i < 3 ? size_bytes - i : 3;
        unsigned group = (unsigned)bytes[i] << 16;

        group |= count > 1 ? (unsigned)bytes[i + 1] << 8 : 0;
        group |= count > 2 ? bytes[i + 2] : 0;
        buf_char(out, alphabet[group >> 18]);
        buf_char(out, alphabet[group >> 12 & 63]);
        buf_char(out, count > 1 ? alphabet[group >> 6 & 63] : '=');
        buf_char(out, count > 2 ? alphabet[group & 63] : '=');
    }
    buf_char(out, '"');
}

static void put_message(const struct printer *printer, const struct message *message)
{
    const struct transaction *transaction = printer->event->transaction;
    lsn_t lsn = transaction != NULL ? transaction->end_lsn : message->lsn;

    buf_text(printer->out, "{\"schema\":null,\"payload\":{");
    put_source(printer, NULL, lsn);
    buf_text(printer->out, ",\"message\":{\"prefix\":");
    put_string(printer->out, message->prefix);
    buf_text(printer->out, ",\"content\":");
    put_base64(printer->out, message->content, message->content_bytes);
    buf_char(printer->out, '}');
    put_tail(printer, "m");
}

static void put_gap(const struct printer *printer)
{
    const struct gap *gap = &printer->event->gap;
    struct message message = {.prefix = "pgforce.gap",
                              .content = gap->reason,
                              .content_bytes = strlen(gap->reason),
                              .lsn = gap->to_lsn};

    put_message(printer, &message);
}

void format_debezium_print(struct buf *out, const struct event *event,
                           const struct format_options *options)
{
    struct printer printer = {out, event, options};

    switch (event->kind) {
    case EVENT_ROW: put_row(&printer); break;
    case EVENT_TRUNCATE: put_truncate(&printer); break;
    case EVENT_MESSAGE: put_message(&printer, &event->message); break;
    case EVENT_GAP: put_gap(&printer); break;
    case EVENT_BEGIN:
    case EVENT_COMMIT:
    case EVENT_RELATION:
    case EVENT_STREAM_START:
    case EVENT_STREAM_STOP:
    case EVENT_STREAM_ABORT: break;
    }
}
