#include "tail/format_text.h"

#include <string.h>

#include "base/clock.h"

enum { SHOWN_BYTES = 200, CONTEXT_BYTES = 40 };

enum colour { PLAIN, RED, GREEN, YELLOW, CYAN, BOLD, DIM };

static const char *const escapes[] = {
    [PLAIN] = "\x1b[0m", [RED] = "\x1b[31m", [GREEN] = "\x1b[32m", [YELLOW] = "\x1b[33m",
    [CYAN] = "\x1b[36m", [BOLD] = "\x1b[1m", [DIM] = "\x1b[2m",
};

struct line {
    struct buf *out;
    bool with_colour;
};

static void paint(const struct line *line, enum colour colour)
{
    if (line->with_colour)
        buf_text(line->out, escapes[colour]);
}

static void put_painted(const struct line *line, enum colour colour, const char *text)
{
    paint(line, colour);
    buf_text(line->out, text);
    paint(line, PLAIN);
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes the UTF-8 character at text takes; 0 if there is none. */
static size_t character_bytes(const unsigned char *text, size_t size_bytes)
{
    size_t count = text[0] < 0x80   ? 1
                   : text[0] < 0xc2 ? 0
                   : text[0] < 0xe0 ? 2
                   : text[0] < 0xf0 ? 3
                   : text[0] < 0xf5 ? 4
                                    : 0;

    if (count > size_bytes)
        return 0;
    for (size_t i = 1; i < count; i++)
        if (!is_continuation(text[i]))
            return 0;
    return count;
}

/* Controls beyond ASCII, and what changes the direction of the text around it (U+200E, U+200F,
 * U+2028..U+202E, U+2066..U+2069): a value must not be able to disguise the line it stands in. */
static bool is_unsafe(const unsigned char *text, size_t size_bytes)
{
    if (size_bytes == 2)
        return text[0] == 0xc2 && text[1] < 0xa0;
    if (size_bytes != 3 || text[0] != 0xe2)
        return false;
    return (text[1] == 0x80 &&
            (text[2] == 0x8e || text[2] == 0x8f || (text[2] >= 0xa8 && text[2] <= 0xae))) ||
           (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9);
}

static void put_bytes(struct buf *out, const unsigned char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        buf_printf(out, "\\x%02x", text[i]);
}

static void put_ascii(struct buf *out, unsigned char character)
{
    switch (character) {
    case '"': buf_text(out, "\\\""); break;
    case '\\': buf_text(out, "\\\\"); break;
    case '\n': buf_text(out, "\\n"); break;
    case '\r': buf_text(out, "\\r"); break;
    case '\t': buf_text(out, "\\t"); break;
    default:
        if (character < 0x20 || character == 0x7f)
            put_bytes(out, &character, 1);
        else
            buf_char(out, (char)character);
    }
}

static void put_escaped(struct buf *out, const char *text, size_t size_bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + size_bytes;

    while (at < end) {
        size_t count = character_bytes(at, (size_t)(end - at));

        if (count == 1)
            put_ascii(out, *at);
        else if (count == 0 || is_unsafe(at, count))
            put_bytes(out, at, count > 0 ? count : 1);
        else
            buf_append(out, at, count);
        at += count > 0 ? count : 1;
    }
}

/* A text that could be taken for something else, or for two, is quoted. */
static bool needs_quotes(const char *text, size_t size_bytes)
{
    static const char signs[] = " \"\\=():,";

    if (size_bytes == 0 || (size_bytes == 4 && memcmp(text, "null", 4) == 0))
        return true;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned char character = (unsigned char)text[i];

        if (character < 0x20 || character >= 0x7f || memchr(signs, character, sizeof(signs) - 1))
            return true;
    }
    return false;
}

/* A name as SQL wants it, but with its controls escaped. */
static void put_name(struct buf *out, const char *name)
{
    size_t size = strlen(name);
    bool is_plain = size > 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == size;

    if (!is_plain)
        buf_char(out, '"');
    put_escaped(out, name, size);
    if (!is_plain)
        buf_char(out, '"');
}

static void put_table(struct buf *out, const struct relation *relation)
{
    put_name(out, relation->schema);
    buf_char(out, '.');
    put_name(out, relation->table);
}

/* At a character's beginning, going back from size_bytes. */
static size_t cut_at_character(const char *text, size_t size_bytes)
{
    for (int i = 0; i < 3 && size_bytes > 0 && is_continuation((unsigned char)text[size_bytes]);
         i++)
        size_bytes--;
    return size_bytes;
}

/* from: how much of the beginning is left out, because both sides of a change have it. */
static void put_text(struct buf *out, const struct value *value, size_t from)
{
    const char *text = value->text + from;
    size_t size = value->size_bytes - from;
    bool is_cut = size > SHOWN_BYTES;
    size_t shown = is_cut ? cut_at_character(text, SHOWN_BYTES) : size;
    bool has_quotes = from > 0 || is_cut || needs_quotes(text, size);

    if (from > 0)
        buf_text(out, "…");
    if (has_quotes)
        buf_char(out, '"');
    put_escaped(out, text, shown);
    if (has_quotes)
        buf_char(out, '"');
    if (is_cut)
        buf_printf(out, "…(%zu bytes)", value->size_bytes);
}

static void put_value(struct buf *out, const struct value *value, size_t from)
{
    switch (value->kind) {
    case VALUE_ABSENT: buf_text(out, "(unknown)"); break;
    case VALUE_NULL: buf_text(out, "null"); break;
    case VALUE_UNCHANGED: buf_text(out, "(unchanged)"); break;
    case VALUE_OMITTED: buf_printf(out, "(%zu bytes, omitted)", value->size_bytes); break;
    case VALUE_TEXT: put_text(out, value, from); break;
    }
}

/* Long texts that begin alike are shown from shortly before the first difference. */
static size_t common_start(const struct value *a, const struct value *b)
{
    size_t common = 0;

    if (a->kind != VALUE_TEXT || b->kind != VALUE_TEXT ||
        (a->size_bytes <= SHOWN_BYTES && b->size_bytes <= SHOWN_BYTES))
        return 0;
    while (common < a->size_bytes && common < b->size_bytes && a->text[common] == b->text[common])
        common++;
    return common > CONTEXT_BYTES ? cut_at_character(a->text, common - CONTEXT_BYTES) : 0;
}

static void put_column(const struct line *line, const struct column *column, const char *sign)
{
    buf_char(line->out, ' ');
    paint(line, BOLD);
    put_name(line->out, column->name);
    paint(line, PLAIN);
    buf_text(line->out, sign);
}

static bool is_same(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind || a->size_bytes != b->size_bytes)
        return false;
    return a->kind != VALUE_TEXT || memcmp(a->text, b->text, a->size_bytes) == 0;
}

/* Whether the column tells which row it is. */
static bool names_row(const struct relation *relation, size_t column)
{
    int id;

    if (relation->replica_identity != 'f')
        return relation->columns[column].is_key;
    id = relation_column(relation, "id");
    return column == (id >= 0 ? (size_t)id : 0);
}

static void put_key(const struct line *line, const struct row *row, const struct value *values)
{
    for (size_t i = 0; i < row->relation->column_count; i++) {
        if (!names_row(row->relation, i) || values[i].kind == VALUE_ABSENT)
            continue;
        put_column(line, &row->relation->columns[i], "=");
        put_value(line->out, &values[i], 0);
    }
}

/* Of a new or deleted row: all that is there but nulls. */
static void put_rest(const struct line *line, const struct row *row, const struct value *values)
{
    for (size_t i = 0; i < row->relation->column_count; i++) {
        if (names_row(row->relation, i) || values[i].kind == VALUE_ABSENT ||
            values[i].kind == VALUE_NULL || values[i].kind == VALUE_UNCHANGED)
            continue;
        put_column(line, &row->relation->columns[i], "=");
        put_value(line->out, &values[i], 0);
    }
}

static void put_change(const struct line *line, const struct column *column,
                       const struct value *old_value, const struct value *new_value)
{
    size_t from = common_start(old_value, new_value);

    put_column(line, column, ": ");
    paint(line, RED);
    put_value(line->out, old_value, from);
    paint(line, PLAIN);
    buf_text(line->out, " → ");
    paint(line, GREEN);
    put_value(line->out, new_value, from);
    paint(line, PLAIN);
}

static void put_changes(const struct line *line, const struct row *row)
{
    for (size_t i = 0; i < row->relation->column_count; i++) {
        const struct value *old_value = &row->old_values[i];
        const struct value *new_value = &row->new_values[i];
        bool is_old_known = old_value->kind != VALUE_ABSENT;

        if (new_value->kind == VALUE_UNCHANGED || new_value->kind == VALUE_ABSENT ||
            is_same(old_value, new_value))
            continue;
        if (is_old_known) {
            put_change(line, &row->relation->columns[i], old_value, new_value);
        } else if (!names_row(row->relation, i)) {
            put_column(line, &row->relation->columns[i], "=");
            put_value(line->out, new_value, 0);
        }
    }
}

static void put_row(const struct line *line, const struct event *event)
{
    static const struct {
        const char *name;
        enum colour colour;
    } ops[] = {[ROW_INSERT] = {"insert ", GREEN},
               [ROW_UPDATE] = {"update ", YELLOW},
               [ROW_DELETE] = {"delete ", RED}};
    const struct row *row = &event->row;
    const struct value *key = row->old_values != NULL ? row->old_values : row->new_values;

    put_painted(line, ops[row->op].colour, ops[row->op].name);
    put_table(line->out, row->relation);
    if (key == NULL)
        return;
    put_key(line, row, key);
    if (row->old_values != NULL && row->new_values != NULL)
        put_changes(line, row);
    else
        put_rest(line, row, key);
}

static void put_truncate(const struct line *line, const struct event *event)
{
    const struct truncate *truncate = &event->truncate;

    put_painted(line, RED, "truncate ");
    for (size_t i = 0; i < truncate->relation_count; i++) {
        if (i > 0)
            buf_text(line->out, ", ");
        put_table(line->out, truncate->relations[i]);
    }
    if (truncate->restart_identity)
        buf_text(line->out, " restart identity");
    if (truncate->cascade)
        buf_text(line->out, " cascade");
}

static void put_message(const struct line *line, const struct event *event)
{
    const struct message *message = &event->message;
    struct value content = {
        .kind = VALUE_TEXT, .text = message->content, .size_bytes = message->content_bytes};

    put_painted(line, CYAN, "message ");
    put_name(line->out, message->prefix);
    buf_text(line->out, ": ");
    put_value(line->out, &content, 0);
}

static void put_gap(const struct line *line, const struct event *event)
{
    put_painted(line, RED, "GAP ");
    buf_printf(line->out, "from %s to %s: ", lsn_format(event->gap.from_lsn).text,
               lsn_format(event->gap.to_lsn).text);
    put_escaped(line->out, event->gap.reason, strlen(event->gap.reason));
}

static void put_boundary(const struct line *line, const struct event *event)
{
    put_painted(line, DIM, event->kind == EVENT_BEGIN ? "begin" : "commit");
    buf_printf(line->out, " xid=%u", event->transaction->xid);
}

static void put_head(const struct line *line, const struct event *event)
{
    const struct transaction *transaction = event->transaction;

    paint(line, DIM);
    if (transaction != NULL)
        buf_printf(line->out, "%s %s/%u ", clock_format_utc(transaction->commit_time_us).text,
                   lsn_format(transaction->end_lsn).text, event->seq);
    else if (event->kind == EVENT_MESSAGE)
        buf_printf(line->out, "%s ", lsn_format(event->message.lsn).text);
    paint(line, PLAIN);
}

static void put_origin(const struct line *line, const struct event *event)
{
    if (event->transaction == NULL || event->transaction->origin[0] == '\0')
        return;
    buf_text(line->out, " [");
    put_escaped(line->out, event->transaction->origin, strlen(event->transaction->origin));
    buf_char(line->out, ']');
}

void format_text_print(struct buf *out, const struct event *event,
                       const struct format_options *options)
{
    static void (*const bodies[])(const struct line *line, const struct event *event) = {
        [EVENT_BEGIN] = put_boundary,    [EVENT_ROW] = put_row,
        [EVENT_TRUNCATE] = put_truncate, [EVENT_MESSAGE] = put_message,
        [EVENT_COMMIT] = put_boundary,   [EVENT_GAP] = put_gap,
        [EVENT_STREAM_ABORT] = NULL,
    };
    struct line line = {out, options->with_colour};
    bool is_boundary = event->kind == EVENT_BEGIN || event->kind == EVENT_COMMIT;

    if (bodies[event->kind] == NULL || (is_boundary && !options->with_transactions))
        return;
    put_head(&line, event);
    bodies[event->kind](&line, event);
    put_origin(&line, event);
    buf_char(out, '\n');
}
