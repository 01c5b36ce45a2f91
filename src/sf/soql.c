#include "sf/soql.h"

#include <string.h>

#include "sf/datetime.h"

/* The length of the UTF-8 character at text, or 0 when there is none (overlong forms, surrogates
 * and what lies beyond U+10FFFF are none). */
static size_t character_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

    if (length == 1)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

/* NULL when the character stands for itself. */
static const char *escape_of(char character)
{
    switch (character) {
    case '\'': return "\\'";
    case '\\': return "\\\\";
    case '"': return "\\\"";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return NULL;
    }
}

static bool append_escaped(struct buf *out, const char *text, struct error *err)
{
    while (*text != '\0') {
        const char *escape = escape_of(*text);
        size_t length = character_length((const unsigned char *)text);

        if (length == 0)
            return error_set(err, ERROR_RECORD, "a value is not UTF-8 and fits no query");
        if (escape == NULL && ((unsigned char)*text < 0x20 || *text == 0x7f))
            return error_set(err, ERROR_RECORD,
                             "a value holds control character %d, which fits no query",
                             (unsigned char)*text);
        if (escape != NULL)
            buf_text(out, escape);
        else
            buf_append(out, text, length);
        text += length;
    }
    return true;
}

static bool check_room(const struct buf *out, struct error *err)
{
    if (buf_is_full(out))
        return error_set(err, ERROR_RECORD, "the query is longer than %zu bytes: ask for less",
                         out->max_bytes);
    return true;
}

bool soql_quote(struct buf *out, const char *text, struct error *err)
{
    buf_char(out, '\'');
    if (!append_escaped(out, text, err))
        return false;
    buf_char(out, '\'');
    return check_room(out, err);
}

void soql_datetime(struct buf *out, int64_t time_us)
{
    buf_text(out, sf_datetime_format_utc(time_us).text);
}

static bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

static bool is_in_name(char character)
{
    return is_letter(character) || (character >= '0' && character <= '9') || character == '_';
}

bool soql_is_name(const char *text)
{
    do {
        if (!is_letter(*text))
            return false;
        while (is_in_name(*text))
            text++;
    } while (*text == '.' && *++text != '\0');
    return *text == '\0' && text[-1] != '.';
}

static bool append_name(struct buf *out, const char *name, struct error *err)
{
    if (!soql_is_name(name))
        return error_set(err, ERROR_CONFIG, "\"%s\" is no name of an object or field: correct it",
                         name);
    buf_text(out, name);
    return true;
}

bool soql_select(struct buf *out, const char *const *fields, size_t count, const char *object,
                 struct error *err)
{
    if (count == 0)
        return error_set(err, ERROR_CONFIG, "no field of %s is asked for: map at least one",
                         object);
    for (size_t i = 0; i < count; i++) {
        buf_text(out, i == 0 ? "select " : ", ");
        if (!append_name(out, fields[i], err))
            return false;
    }
    buf_text(out, " from ");
    return append_name(out, object, err) && check_room(out, err);
}

static bool append_number(struct buf *out, const char *text, struct error *err)
{
    if (text[0] == '\0' || strspn(text, "0123456789-.") != strlen(text))
        return error_set(err, ERROR_RECORD, "a value is no number and fits no query");
    buf_text(out, text);
    return check_room(out, err);
}

static bool begin_in(struct buf *out, const char *field, size_t count, struct error *err)
{
    if (count == 0)
        return error_set(err, ERROR_BUG, "a query for no value of %s", field);
    return append_name(out, field, err);
}

bool soql_in(struct buf *out, const char *field, const char *const *values, size_t count,
             struct error *err)
{
    if (!begin_in(out, field, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        buf_text(out, i == 0 ? " in (" : ", ");
        if (!soql_quote(out, values[i], err))
            return false;
    }
    buf_char(out, ')');
    return check_room(out, err);
}

bool soql_in_numbers(struct buf *out, const char *field, const char *const *values, size_t count,
                     struct error *err)
{
    if (!begin_in(out, field, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        buf_text(out, i == 0 ? " in (" : ", ");
        if (!append_number(out, values[i], err))
            return false;
    }
    buf_char(out, ')');
    return check_room(out, err);
}
