#include "sandbox/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/base64.h"
#include "sandbox/ids.h"
#include "sandbox/times.h"

enum { NUMBER_BYTES = 40 };

/* Beyond this a double does not hold every integer. */
static const double max_integer = 9007199254740992.0;

/* What is being read, for the messages. */
struct reading {
    const struct field *field;
    const char *text;
    struct value *value;
    struct record_errors *errors;
};

static bool refuse_type(const struct reading *reading)
{
    return errors_add(reading->errors, "JSON_PARSER_ERROR", "",
                      "Cannot deserialize instance of %s from VALUE_STRING value %.200s or request "
                      "may be missing a required field at [line:1, column:1]",
                      reading->field->type->name, reading->text);
}

/* ---- text ---- */

/* Salesforce counts UTF-16 units: a character beyond U+FFFF is two. */
static size_t count_units(const char *text)
{
    size_t units = 0;

    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        units += (byte & 0xc0) != 0x80;
        units += byte >= 0xf0;
    }
    return units;
}

static const char *trim(struct arena *arena, const char *text)
{
    size_t length = strlen(text);

    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    while (length > 0 && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    return arena_strndup(arena, text, length);
}

static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');

    return at != NULL && at != text && strchr(at + 1, '@') == NULL && strchr(at, '.') > at + 1 &&
           text[strlen(text) - 1] != '.' && strpbrk(text, " \t\r\n,;") == NULL;
}

static bool is_listed(const struct field *field, const char *text, size_t length)
{
    for (size_t i = 0; i < field->picklist_count; i++)
        if (field->picklist[i].is_active && strncmp(field->picklist[i].value, text, length) == 0 &&
            field->picklist[i].value[length] == '\0')
            return true;
    return false;
}

static bool check_picklist(const struct reading *reading)
{
    const struct field *field = reading->field;
    bool is_multiple = strcmp(field->type->name, "multipicklist") == 0;
    const char *text = reading->text;

    if (!field->is_restricted_picklist)
        return true;
    while (*text != '\0') {
        size_t length = is_multiple ? strcspn(text, ";") : strlen(text);

        if (!is_listed(field, text, length))
            return errors_add(reading->errors, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                              field->name, "%s: bad value for restricted picklist field: %s",
                              field->label, reading->text);
        text += length + (text[length] == ';');
    }
    return true;
}

static bool read_string(const struct reading *reading)
{
    const struct field *field = reading->field;

    if (field->length > 0 && count_units(reading->text) > (size_t)field->length)
        return errors_add(reading->errors, "STRING_TOO_LONG", field->name,
                          "%s: data value too large: %.255s (max length=%d)", field->label,
                          reading->text, field->length);
    size_t size_bytes = 0;
    if (strcmp(field->type->name, "base64") == 0 &&
        base64_decode(reading->errors->arena, reading->text, strlen(reading->text), &size_bytes) ==
            NULL)
        return refuse_type(reading);
    if (strcmp(field->type->name, "email") == 0 && !is_email(reading->text))
        return errors_add(reading->errors, "INVALID_EMAIL_ADDRESS", field->name,
                          "%s: invalid email address: %s", field->label, reading->text);
    if (!check_picklist(reading))
        return false;
    *reading->value = value_text(reading->text);
    return true;
}

static bool read_id(const struct reading *reading)
{
    struct ids_text id;

    if (!ids_normalize(reading->text, &id))
        return errors_add(reading->errors, "MALFORMED_ID", reading->field->name,
                          "%s: id value of incorrect type: %s", reading->field->label,
                          reading->text);
    *reading->value = value_text(arena_strdup(reading->errors->arena, id.text));
    return true;
}

/* ---- numbers ---- */

static bool parse_number(const char *text, double *number)
{
    char *end = NULL;

    if (!isdigit((unsigned char)*text) && strchr("+-.", *text) == NULL)
        return false;
    if (strpbrk(text, "xXnNiI") != NULL)
        return false;
    *number = strtod(text, &end);
    return *end == '\0' && isfinite(*number);
}

static bool refuse_range(const struct reading *reading)
{
    return errors_add(reading->errors, "NUMBER_OUTSIDE_VALID_RANGE", reading->field->name,
                      "%s: value outside of valid range on numeric field: %s",
                      reading->field->label, reading->text);
}

static bool read_real(const struct reading *reading)
{
    const struct field *field = reading->field;
    double number = 0;

    if (!parse_number(reading->text, &number))
        return refuse_type(reading);
    if (fabs(number) >= pow(10, field->precision - field->scale))
        return refuse_range(reading);
    double unit = pow(10, field->scale);
    double rounded = round(number * unit) / unit;
    *reading->value = value_real(rounded == 0 ? 0 : rounded);
    return true;
}

static bool read_integer(const struct reading *reading)
{
    double number = 0;

    if (!parse_number(reading->text, &number) || number != floor(number))
        return refuse_type(reading);
    if (fabs(number) >= pow(10, reading->field->digits) || fabs(number) > max_integer)
        return refuse_range(reading);
    *reading->value = value_integer((int64_t)number);
    return true;
}

static bool read_boolean(const struct reading *reading)
{
    bool is_true = strcasecmp(reading->text, "true") == 0 || strcmp(reading->text, "1") == 0;
    bool is_false = strcasecmp(reading->text, "false") == 0 || strcmp(reading->text, "0") == 0;

    if (!is_true && !is_false)
        return refuse_type(reading);
    *reading->value = value_integer(is_true);
    return true;
}

/* ---- times ---- */

static bool read_date(const struct reading *reading)
{
    int64_t seconds = 0;

    if (!times_parse_date(reading->text, &seconds) &&
        !times_parse_datetime(reading->text, true, &seconds))
        return refuse_type(reading);
    *reading->value =
        value_text(arena_strdup(reading->errors->arena, times_format_date(seconds).text));
    return true;
}

static bool read_datetime(const struct reading *reading)
{
    int64_t seconds = 0;

    if (!times_parse_date(reading->text, &seconds) &&
        !times_parse_datetime(reading->text, true, &seconds))
        return refuse_type(reading);
    *reading->value =
        value_text(arena_strdup(reading->errors->arena, times_format_datetime(seconds).text));
    return true;
}

static bool read_time(const struct reading *reading)
{
    struct times_text time;

    if (!times_parse_time(reading->text, &time))
        return refuse_type(reading);
    *reading->value = value_text(arena_strdup(reading->errors->arena, time.text));
    return true;
}

bool values_read_text(const struct field *field, const char *text, struct value *value,
                      struct record_errors *errors)
{
    static bool (*const readers[])(const struct reading *) = {
        [KIND_TEXT] = read_string,       [KIND_ID] = read_id,     [KIND_BOOLEAN] = read_boolean,
        [KIND_INTEGER] = read_integer,   [KIND_REAL] = read_real, [KIND_DATE] = read_date,
        [KIND_DATETIME] = read_datetime, [KIND_TIME] = read_time,
    };
    struct reading reading = {
        .field = field, .text = trim(errors->arena, text), .value = value, .errors = errors};

    *value = (struct value){.kind = VALUE_NULL};
    if (field->type->kind == KIND_COMPOUND)
        return refuse_type(&reading);
    if (*reading.text == '\0')
        return true;
    return readers[field->type->kind](&reading);
}

/* The shortest text that reads back as the same number. */
static void format_number(char *text, size_t size_bytes, double number)
{
    snprintf(text, size_bytes, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, size_bytes, "%.17g", number);
}

bool values_read(const struct field *field, const json_t *json, struct value *value,
                 struct record_errors *errors)
{
    struct arena *arena = errors->arena;
    char text[NUMBER_BYTES];

    *value = (struct value){.kind = VALUE_NULL};
    switch (json_typeof(json)) {
    case JSON_NULL:
        if (field->type->kind == KIND_BOOLEAN)
            *value = value_integer(0);
        return true;
    case JSON_STRING: return values_read_text(field, json_string_value(json), value, errors);
    case JSON_TRUE: return values_read_text(field, "true", value, errors);
    case JSON_FALSE: return values_read_text(field, "false", value, errors);
    case JSON_INTEGER:
        return values_read_text(
            field, arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(json)), value,
            errors);
    case JSON_REAL:
        format_number(text, sizeof(text), json_real_value(json));
        return values_read_text(field, text, value, errors);
    default: break;
    }
    return errors_add(errors, "JSON_PARSER_ERROR", "",
                      "Cannot deserialize instance of %s from START_OBJECT value { or request may "
                      "be missing a required field at [line:1, column:1]",
                      field->type->name);
}

/* ---- writing ---- */

void values_write_text(struct buf *out, const char *text)
{
    buf_char(out, '"');
    while (*text != '\0') {
        size_t plain = 0;

        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        buf_append(out, text, plain);
        text += plain;
        if (*text == '\0')
            break;
        if (*text == '"' || *text == '\\')
            buf_printf(out, "\\%c", *text);
        else if (*text == '\n')
            buf_text(out, "\\n");
        else
            buf_printf(out, "\\u%04x", (unsigned int)*text);
        text++;
    }
    buf_char(out, '"');
}

/* With the ".0" that Salesforce writes. */
void values_write_number(struct buf *out, double number)
{
    char text[NUMBER_BYTES];

    format_number(text, sizeof(text), number);
    buf_text(out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_text(out, ".0");
}

void values_write(struct buf *out, const struct field *field, const struct value *value)
{
    enum field_kind kind = field->type->kind;

    if (value->kind == VALUE_NULL)
        buf_text(out, kind == KIND_BOOLEAN ? "false" : "null");
    else if (value->kind == VALUE_TEXT)
        values_write_text(out, value->text);
    else if (kind == KIND_BOOLEAN)
        buf_text(out, value->integer != 0 ? "true" : "false");
    else if (value->kind == VALUE_REAL)
        values_write_number(out, value->real);
    else if (kind == KIND_REAL)
        values_write_number(out, (double)value->integer);
    else
        buf_printf(out, "%" PRId64, value->integer);
}

struct value values_peek(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: return (struct value){.kind = VALUE_NULL};
    case SQLITE_INTEGER: return value_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: return value_real(sqlite3_column_double(statement, column));
    default: return value_text((const char *)sqlite3_column_text(statement, column));
    }
}
