#include "change/change_json.h"

#include <string.h>

#include "base/clock.h"

/* The first OID that differs from database to database. */
enum { FIRST_USER_OID = 16384 };

/*
 * How many bytes the UTF-8 character at text takes; 0 if there is none: overlong forms, surrogates
 * and what is beyond U+10FFFF are none (The Unicode Standard, table 3-7).
 */
static size_t character_bytes(const unsigned char *text, size_t size_bytes)
{
    unsigned char first = text[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;

    if (first < 0x80)
        return 1;
    size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size_bytes < count)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    if (first == 0xed)
        high = 0x9f;
    if (first == 0xf0)
        low = 0x90;
    if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

static void print_special(struct buf *buf, unsigned char character)
{
    switch (character) {
    case '"': buf_append(buf, "\\\"", 2); break;
    case '\\': buf_append(buf, "\\\\", 2); break;
    case '\n': buf_append(buf, "\\n", 2); break;
    case '\r': buf_append(buf, "\\r", 2); break;
    case '\t': buf_append(buf, "\\t", 2); break;
    default: buf_printf(buf, "\\u%04x", character); break;
    }
}

static bool is_plain(unsigned char character)
{
    return character >= 0x20 && character < 0x80 && character != '"' && character != '\\';
}

void change_json_string(struct buf *buf, const char *text, size_t size_bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + size_bytes;

    buf_char(buf, '"');
    while (at < end) {
        const unsigned char *run = at;
        while (at < end && is_plain(*at))
            at++;
        buf_append(buf, run, (size_t)(at - run));
        if (at == end)
            break;
        if (*at < 0x80) {
            print_special(buf, *at++);
            continue;
        }
        size_t count = character_bytes(at, (size_t)(end - at));
        if (count > 0)
            buf_append(buf, at, count);
        else
            buf_append(buf, "\xef\xbf\xbd", 3); /* U+FFFD */
        at += count > 0 ? count : 1;
    }
    buf_char(buf, '"');
}

/* ,"key":"text" */
static void print_pair(struct buf *buf, const char *key, const char *text)
{
    buf_printf(buf, ",\"%s\":", key);
    change_json_string(buf, text, strlen(text));
}

static void print_lsn(struct buf *buf, const char *key, lsn_t lsn,
                      const struct change_json_options *options)
{
    print_pair(buf, key, options->mask ? "x" : lsn_format(lsn).text);
}

static void print_transaction(struct buf *buf, const struct event *event,
                              const struct change_json_options *options)
{
    const struct transaction *transaction = event->transaction;

    if (transaction == NULL)
        return;
    print_lsn(buf, "lsn", transaction->end_lsn, options);
    if (event->seq > 0)
        buf_printf(buf, ",\"seq\":%u", event->seq);
    if (options->mask)
        print_pair(buf, "xid", "x");
    else
        buf_printf(buf, ",\"xid\":%u", transaction->xid);
    print_pair(buf, "commit_time",
               options->mask ? "x" : clock_format_utc(transaction->commit_time_us).text);
    print_pair(buf, "origin", transaction->origin);
    if (transaction->source_position[0] != '\0')
        print_pair(buf, "source_position", transaction->source_position);
}

static void print_name(struct buf *buf, const struct column *column, bool is_first)
{
    if (!is_first)
        buf_char(buf, ',');
    change_json_string(buf, column->name, strlen(column->name));
}

/* ,"key":{column: text or null, ...} */
static void print_values(struct buf *buf, const char *key, const struct relation *relation,
                         const struct value *values)
{
    bool is_first = true;

    buf_printf(buf, ",\"%s\":{", key);
    for (size_t i = 0; i < relation->column_count; i++) {
        if (values[i].kind != VALUE_TEXT && values[i].kind != VALUE_NULL)
            continue;
        print_name(buf, &relation->columns[i], is_first);
        is_first = false;
        buf_char(buf, ':');
        if (values[i].kind == VALUE_NULL)
            buf_text(buf, "null");
        else
            change_json_string(buf, values[i].text, values[i].size_bytes);
    }
    buf_char(buf, '}');
}

/* ,"key":[column, ...] if there is any */
static void print_unchanged(struct buf *buf, const char *key, const struct relation *relation,
                            const struct value *values)
{
    bool is_first = true;

    for (size_t i = 0; i < relation->column_count; i++) {
        if (values[i].kind != VALUE_UNCHANGED)
            continue;
        if (is_first)
            buf_printf(buf, ",\"%s\":[", key);
        print_name(buf, &relation->columns[i], is_first);
        is_first = false;
    }
    if (!is_first)
        buf_char(buf, ']');
}

/* ,"key":{column: bytes, ...} if there is any */
static void print_omitted(struct buf *buf, const char *key, const struct relation *relation,
                          const struct value *values)
{
    bool is_first = true;

    for (size_t i = 0; i < relation->column_count; i++) {
        if (values[i].kind != VALUE_OMITTED)
            continue;
        if (is_first)
            buf_printf(buf, ",\"%s\":{", key);
        print_name(buf, &relation->columns[i], is_first);
        buf_printf(buf, ":%zu", values[i].size_bytes);
        is_first = false;
    }
    if (!is_first)
        buf_char(buf, '}');
}

static void print_row(struct buf *buf, const struct event *event,
                      const struct change_json_options *options)
{
    static const char *const ops[] = {"insert", "update", "delete"};
    const struct row *row = &event->row;

    buf_printf(buf, "{\"op\":\"%s\"", ops[row->op]);
    print_pair(buf, "schema", row->relation->schema);
    print_pair(buf, "table", row->relation->table);
    print_transaction(buf, event, options);
    if (row->new_values != NULL)
        print_values(buf, "after", row->relation, row->new_values);
    if (row->old_values != NULL)
        print_values(buf, "before", row->relation, row->old_values);
    if (row->new_values != NULL) {
        print_unchanged(buf, "unchanged", row->relation, row->new_values);
        print_omitted(buf, "omitted", row->relation, row->new_values);
    }
    if (row->old_values != NULL)
        print_omitted(buf, "omitted_before", row->relation, row->old_values);
    buf_text(buf, "}\n");
}

static void print_truncate(struct buf *buf, const struct event *event,
                           const struct change_json_options *options)
{
    const struct truncate *truncate = &event->truncate;

    buf_text(buf, "{\"op\":\"truncate\"");
    print_transaction(buf, event, options);
    buf_text(buf, ",\"tables\":[");
    for (size_t i = 0; i < truncate->relation_count; i++) {
        const struct relation *relation = truncate->relations[i];
        buf_text(buf, i > 0 ? ",{\"schema\":" : "{\"schema\":");
        change_json_string(buf, relation->schema, strlen(relation->schema));
        print_pair(buf, "table", relation->table);
        buf_char(buf, '}');
    }
    buf_printf(buf, "],\"cascade\":%s,\"restart_identity\":%s}\n",
               truncate->cascade ? "true" : "false", truncate->restart_identity ? "true" : "false");
}

static void print_message(struct buf *buf, const struct event *event,
                          const struct change_json_options *options)
{
    const struct message *message = &event->message;

    buf_printf(buf, "{\"op\":\"message\",\"transactional\":%s",
               message->is_transactional ? "true" : "false");
    if (event->transaction != NULL)
        print_transaction(buf, event, options);
    else
        print_lsn(buf, "lsn", message->lsn, options);
    print_pair(buf, "prefix", message->prefix);
    buf_text(buf, ",\"content\":");
    change_json_string(buf, message->content, message->content_bytes);
    buf_text(buf, "}\n");
}

static void print_gap(struct buf *buf, const struct event *event,
                      const struct change_json_options *options)
{
    buf_text(buf, "{\"op\":\"gap\"");
    print_lsn(buf, "from_lsn", event->gap.from_lsn, options);
    print_lsn(buf, "to_lsn", event->gap.to_lsn, options);
    print_pair(buf, "reason", event->gap.reason);
    buf_text(buf, "}\n");
}

static void print_boundary(struct buf *buf, const struct event *event,
                           const struct change_json_options *options)
{
    if (!options->with_transactions)
        return;
    buf_printf(buf, "{\"op\":\"%s\"", event->kind == EVENT_BEGIN ? "begin" : "commit");
    print_transaction(buf, event, options);
    buf_text(buf, "}\n");
}

static void print_column(struct buf *buf, const struct column *column,
                         const struct change_json_options *options)
{
    buf_text(buf, "{\"name\":");
    change_json_string(buf, column->name, strlen(column->name));
    print_pair(buf, "type", column->type);
    if (options->mask && column->type_oid >= FIRST_USER_OID)
        print_pair(buf, "type_oid", "x");
    else
        buf_printf(buf, ",\"type_oid\":%u", column->type_oid);
    buf_printf(buf, ",\"type_modifier\":%d,\"key\":%s}", column->type_modifier,
               column->is_key ? "true" : "false");
}

static void print_relation(struct buf *buf, const struct event *event,
                           const struct change_json_options *options)
{
    const struct relation *relation = event->relation;

    if (!options->with_relations)
        return;
    buf_text(buf, "{\"op\":\"relation\"");
    print_pair(buf, "schema", relation->schema);
    print_pair(buf, "table", relation->table);
    buf_printf(buf, ",\"replica_identity\":\"%c\",\"withheld\":%s,\"columns\":[",
               relation->replica_identity, relation->is_withheld ? "true" : "false");
    for (size_t i = 0; i < relation->column_count; i++) {
        if (i > 0)
            buf_char(buf, ',');
        print_column(buf, &relation->columns[i], options);
    }
    buf_text(buf, "]}\n");
}

void change_json_print(struct buf *buf, const struct event *event,
                       const struct change_json_options *options)
{
    switch (event->kind) {
    case EVENT_ROW: print_row(buf, event, options); break;
    case EVENT_TRUNCATE: print_truncate(buf, event, options); break;
    case EVENT_MESSAGE: print_message(buf, event, options); break;
    case EVENT_GAP: print_gap(buf, event, options); break;
    case EVENT_BEGIN:
    case EVENT_COMMIT: print_boundary(buf, event, options); break;
    case EVENT_RELATION: print_relation(buf, event, options); break;
    case EVENT_STREAM_START:
    case EVENT_STREAM_STOP:
    case EVENT_STREAM_ABORT: break;
    }
}
