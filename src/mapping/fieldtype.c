#include "mapping/fieldtype.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mapping/decimal.h"
#include "sf/datetime.h"
#include "sf/describe.h"

/*
 * How the values of several types look. from_wire makes PostgreSQL's own output text of what
 * Salesforce sent, to_wire what Salesforce takes of PostgreSQL's text; both answer false for text
 * that is not of the form, and never see an empty one. wrap makes JSON of to_wire's answer.
 */
struct form {
    const char *expected; /* for error messages: "expected ..." */
    bool (*from_wire)(const char *wire, struct arena *arena, const char **text);
    bool (*to_wire)(const char *text, struct arena *arena, const char **wire);
    json_t *(*wrap)(const char *wire);
};

struct fieldtype {
    const char *name;
    const struct form *form;
    const char *column; /* NULL: varchar of the field's length */
    const char *refusal;
};

/* A varchar can be no longer; the same limit as PostgreSQL's. */
enum { VARCHAR_MAX = 10485760, TEXTAREA_VARCHAR_MAX = 255, ID_LENGTH = 18 };

static bool keep(const char *text, struct arena *arena, const char **out)
{
    (void)arena;
    *out = text;
    return true;
}

static bool boolean_from_wire(const char *wire, struct arena *arena, const char **text)
{
    bool is_true = strcasecmp(wire, "true") == 0 || strcmp(wire, "1") == 0;

    (void)arena;
    *text = is_true ? "t" : "f";
    return is_true || strcasecmp(wire, "false") == 0 || strcmp(wire, "0") == 0;
}

static bool boolean_to_wire(const char *text, struct arena *arena, const char **wire)
{
    bool is_true = strcmp(text, "t") == 0 || strcmp(text, "true") == 0;

    (void)arena;
    *wire = is_true ? "true" : "false";
    return is_true || strcmp(text, "f") == 0 || strcmp(text, "false") == 0;
}

static json_t *boolean_wrap(const char *wire)
{
    return json_boolean(strcmp(wire, "true") == 0);
}

/* strtod also takes "nan", "0x1p3" and leading blanks: only decimal numbers pass here. */
static bool parse_double(const char *text, double *number)
{
    char *end = NULL;

    if (strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*number);
}

static bool parse_integer(const char *text, int64_t *number)
{
    char *end = NULL;

    if (strspn(text, "0123456789-") != strlen(text))
        return false;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

_Static_assert(LDBL_MANT_DIG > DBL_MANT_DIG + 1, "the middle of two doubles must be exact");

/* Whether text, number rounded to some digits, is the very middle of number and its neighbour. */
static bool is_middle(const char *text, double number)
{
    long double exact = strtold(text, NULL);
    double other = nextafter(number, exact > number ? INFINITY : -INFINITY);
    long double middle = ((long double)number + other) / 2;
    size_t digits = strcspn(text, "e");
    char long_text[100];

    if (exact != middle)
        return false;
    /* strtold rounds too, so that a text close to the middle comes here as well. */
    snprintf(long_text, sizeof(long_text), "%.60Le", middle);
    const char *rest = long_text + digits;
    return strncmp(long_text, text, digits) == 0 && strspn(rest, "0") == strcspn(rest, "e");
}

/* PostgreSQL does not print a text that is only read right because reading rounds to even. */
static bool reads_back(const char *text, double number)
{
    return strtod(text, NULL) == number && !is_middle(text, number);
}

/* How many digits after the first one are needed to read the same number back. */
static int shortest_decimals(double number)
{
    char text[40];
    int decimals = 14; /* any 15 digits survive, so less than that is a matter of trailing zeros */

    snprintf(text, sizeof(text), "%.*e", decimals, number);
    while (decimals < 16 && !reads_back(text, number))
        snprintf(text, sizeof(text), "%.*e", ++decimals, number);
    char *exponent = strchr(text, 'e');
    for (char *last = exponent - 1; decimals > 0 && *last == '0'; last--)
        decimals--;
    return decimals;
}

/* As float8out writes it with extra_float_digits above 0: shortest, plain from 1e-4 to below 1e15.
 */
static const char *double_text(double number, struct arena *arena)
{
    int decimals = shortest_decimals(number);
    char *text = arena_printf(arena, "%.*e", decimals, number);
    int exponent = atoi(strchr(text, 'e') + 1);

    if (exponent < -4 || exponent >= 15)
        return text;
    return arena_printf(arena, "%.*f", decimals > exponent ? decimals - exponent : 0, number);
}

/* Integers a double cannot hold keep their digits: the column decides, not we. */
static const char *integer_text_for_double(int64_t number, struct arena *arena)
{
    double nearest = (double)number;

    if (fabs(nearest) < 9.2e18 && (int64_t)nearest == number)
        return double_text(nearest, arena);
    return arena_printf(arena, "%" PRId64, number);
}

static bool number_from_wire(const char *wire, struct arena *arena, const char **text)
{
    int64_t integer = 0;
    double number = 0;

    *text = decimal_short(wire, arena);
    if (*text != NULL)
        return true;
    if (parse_integer(wire, &integer))
        *text = integer_text_for_double(integer, arena);
    else if (parse_double(wire, &number))
        *text = double_text(number, arena);
    else
        return false;
    return true;
}

/* All its digits, for a column of type numeric. */
static bool exact_from_wire(const char *wire, struct arena *arena, const char **text)
{
    double number = 0;

    if (!parse_double(wire, &number))
        return false;
    *text = decimal_plain(wire, arena);
    return *text != NULL;
}

static bool number_to_wire(const char *text, struct arena *arena, const char **wire)
{
    double number = 0;

    (void)arena;
    *wire = text;
    return parse_double(text, &number);
}

static json_t *number_wrap(const char *wire)
{
    int64_t integer = 0;
    double number = 0;

    if (parse_integer(wire, &integer))
        return json_integer(integer);
    return parse_double(wire, &number) ? json_real(number) : NULL;
}

static bool long_from_wire(const char *wire, struct arena *arena, const char **text)
{
    int64_t integer = 0;
    double number = 0;

    if (!parse_integer(wire, &integer)) {
        if (!parse_double(wire, &number) || fabs(number) > 9e15 || number != floor(number))
            return false;
        integer = (int64_t)number;
    }
    *text = arena_printf(arena, "%" PRId64, integer);
    return true;
}

static bool int_from_wire(const char *wire, struct arena *arena, const char **text)
{
    int64_t integer = 0;

    return long_from_wire(wire, arena, text) && parse_integer(*text, &integer) &&
           integer >= INT32_MIN && integer <= INT32_MAX;
}

static bool integer_to_wire(const char *text, struct arena *arena, const char **wire)
{
    int64_t integer = 0;

    (void)arena;
    *wire = text;
    return parse_integer(text, &integer);
}

/* Whether text begins like the pattern, in which 0 stands for any digit. */
static bool begins_like(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++, text++)
        if (*pattern == '0' ? (*text < '0' || *text > '9') : *text != *pattern)
            return false;
    return true;
}

/* PostgreSQL's "infinity", "0044-03-15 BC" and five-digit years do not pass. */
static bool date_check(const char *text, struct arena *arena, const char **out)
{
    int64_t time_us = 0;

    *out = text;
    return begins_like(text, "0000-00-00") && text[10] == '\0' &&
           sf_datetime_parse(arena_printf(arena, "%sT00:00:00Z", text), &time_us);
}

/* Cuts the zeros that PostgreSQL would not print off a fraction: ".500" is ".5", ".000" nothing. */
static const char *trim_fraction(char *text)
{
    size_t size = strlen(text);

    if (strchr(text, '.') == NULL)
        return text;
    while (text[size - 1] == '0')
        text[--size] = '\0';
    if (text[size - 1] == '.')
        text[--size] = '\0';
    return text;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* The form that Bulk results have, of a time that surely exists: days up to the 28th. */
static bool is_usual_utc(const char *wire)
{
    if (!begins_like(wire, "0000-00-00T00:00:00.000Z") || wire[24] != '\0')
        return false;
    int month = two_digits(wire + 5);
    int day = two_digits(wire + 8);
    return strncmp(wire, "0000", 4) != 0 && month >= 1 && month <= 12 && day >= 1 && day <= 28 &&
           two_digits(wire + 11) <= 23 && two_digits(wire + 14) <= 59 &&
           two_digits(wire + 17) <= 59;
}

/* "2026-01-31T10:20:30.120Z" is "2026-01-31 10:20:30.12". */
static bool datetime_from_wire(const char *wire, struct arena *arena, const char **text)
{
    int64_t time_us = 0;

    if (is_usual_utc(wire)) {
        char *utc = arena_strndup(arena, wire, strlen("2026-01-31T10:20:30.000"));

        utc[strlen("2026-01-31")] = ' ';
        *text = trim_fraction(utc);
        return true;
    }
    if (!sf_datetime_parse(wire, &time_us))
        return false;
    char *utc = arena_strdup(arena, sf_datetime_format_utc(time_us).text);
    utc[strlen("2026-01-31")] = ' ';
    utc[strlen(utc) - 1] = '\0';
    *text = trim_fraction(utc);
    return true;
}

/* A timestamp is UTC; a timestamptz, in an adopted table, brings "+00" or "+05:30". */
static bool datetime_to_wire(const char *text, struct arena *arena, const char **wire)
{
    int64_t time_us = 0;

    if (!begins_like(text, "0000-00-00 00:00:00"))
        return false;
    char *iso = arena_strdup(arena, text);
    iso[strlen("2026-01-31")] = 'T';
    const char *offset = strpbrk(iso + strlen("2026-01-31T10:20:30"), "+-");
    const char *rest = offset == NULL ? "Z" : strchr(offset, ':') == NULL ? ":00" : "";
    if (!sf_datetime_parse(arena_printf(arena, "%s%s", iso, rest), &time_us))
        return false;
    *wire = arena_strdup(arena, sf_datetime_format_utc(time_us).text);
    return true;
}

/* "18:30:00", a fraction of up to six digits, and nothing else but `tail`. */
static bool is_time(const char *text, const char *tail)
{
    size_t fraction = 0;

    if (!begins_like(text, "00:00:00"))
        return false;
    if (strncmp(text, "24", 2) >= 0 || text[3] > '5' || text[6] > '5')
        return false;
    text += strlen("00:00:00");
    if (*text == '.') {
        fraction = strspn(text + 1, "0123456789");
        if (fraction == 0 || fraction > 6)
            return false;
        text += 1 + fraction;
    }
    return strcmp(text, tail) == 0;
}

static bool time_from_wire(const char *wire, struct arena *arena, const char **text)
{
    if (!is_time(wire, "Z"))
        return false;
    *text = trim_fraction(arena_strndup(arena, wire, strlen(wire) - 1));
    return true;
}

/* Salesforce keeps milliseconds. */
static bool time_to_wire(const char *text, struct arena *arena, const char **wire)
{
    if (!is_time(text, ""))
        return false;
    const char *fraction = text[8] == '.' ? text + 9 : "";
    int digits = (int)strlen(fraction) < 3 ? (int)strlen(fraction) : 3;
    *wire = arena_printf(arena, "%.8s.%.*s%.*sZ", text, digits, fraction, 3 - digits, "000");
    return true;
}

static const struct form form_text = {"text", keep, keep, json_string};
static const struct form form_any = {"any value", keep, keep, json_string};
static const struct form form_boolean = {"true or false", boolean_from_wire, boolean_to_wire,
                                         boolean_wrap};
static const struct form form_number = {"a finite number", number_from_wire, number_to_wire,
                                        number_wrap};
static const struct form form_exact = {"a finite number", exact_from_wire, number_to_wire,
                                       number_wrap};
static const struct form form_int = {"a whole number of 32 bits", int_from_wire, integer_to_wire,
                                     number_wrap};
static const struct form form_long = {"a whole number of 64 bits", long_from_wire, integer_to_wire,
                                      number_wrap};
static const struct form form_date = {"a date like 2026-01-31, years 0001 to 9999", date_check,
                                      date_check, json_string};
static const struct form form_datetime = {"a date and time, years 0001 to 9999", datetime_from_wire,
                                          datetime_to_wire, json_string};
static const struct form form_time = {"a time before 24:00:00", time_from_wire, time_to_wire,
                                      json_string};

#define IN_PARTS "compound fields cannot be mapped; map their parts instead"

/* Adding a type is one row. */
static const struct fieldtype types[] = {
    {"id", &form_text, "varchar(18)", NULL},
    {"reference", &form_text, NULL, NULL},
    {"string", &form_text, NULL, NULL},
    {"textarea", &form_text, NULL, NULL},
    {"url", &form_text, NULL, NULL},
    {"email", &form_text, "varchar(80)", NULL},
    {"phone", &form_text, "varchar(40)", NULL},
    {"picklist", &form_text, "varchar(255)", NULL},
    {"multipicklist", &form_text, "varchar(4099)", NULL},
    {"combobox", &form_text, NULL, NULL},
    {"encryptedstring", &form_text, NULL, NULL},
    {"datacategorygroupreference", &form_text, NULL, NULL},
    {"boolean", &form_boolean, "boolean", NULL},
    {"int", &form_int, "integer", NULL},
    {"long", &form_long, "bigint", NULL},
    {"double", &form_number, "double precision", NULL},
    {"currency", &form_number, "double precision", NULL},
    {"percent", &form_number, "double precision", NULL},
    {"date", &form_date, "date", NULL},
    {"datetime", &form_datetime, "timestamp without time zone", NULL},
    {"time", &form_time, "time without time zone", NULL},
    {"anytype", &form_any, "text", NULL},
    {"complexvalue", &form_any, "text", NULL},
    {"json", &form_any, "text", NULL},
    {"base64", &form_text, NULL, "binary fields cannot be mapped: Bulk queries do not carry them"},
    {"address", &form_any, NULL, IN_PARTS " (BillingCity, BillingStreet, ...)"},
    {"location", &form_any, NULL, IN_PARTS " (X__Latitude__s, X__Longitude__s)"},
    {"junctionidlist", &form_any, NULL, "lists of ids cannot be mapped; map the junction object"},
};

/* Not to be found by name: its values come of fields of the types above. */
static const struct fieldtype exact = {"double", &form_exact, "numeric", NULL};

const struct fieldtype *fieldtype_exact(const struct fieldtype *type)
{
    return type->form == &form_number ? &exact : type;
}

const struct fieldtype *fieldtype_find(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool fieldtype_is_number(const struct fieldtype *type)
{
    return type->form->wrap == number_wrap;
}

const char *fieldtype_name(const struct fieldtype *type)
{
    return type->name;
}

const char *fieldtype_refusal(const struct fieldtype *type)
{
    return type->refusal;
}

/* An external lookup is a reference longer than an id. */
const char *fieldtype_column(const struct fieldtype *type, const struct sf_field *field,
                             struct arena *arena)
{
    bool is_textarea = strcmp(type->name, "textarea") == 0;
    int length = field->length;

    if (type->column != NULL)
        return type->column;
    if (strcmp(type->name, "reference") == 0 && length < ID_LENGTH)
        length = ID_LENGTH;
    if (length <= 0 || length > VARCHAR_MAX || (is_textarea && length > TEXTAREA_VARCHAR_MAX))
        return "text";
    return arena_printf(arena, "varchar(%d)", length);
}

static bool refuse_value(const struct fieldtype *type, const char *side, struct error *err)
{
    return error_set(err, ERROR_RECORD,
                     "a value from %s does not fit a field of type %s: expected %s", side,
                     type->name, type->form->expected);
}

bool fieldtype_from_text(const struct fieldtype *type, const char *wire, struct arena *arena,
                         const char **text, struct error *err)
{
    *text = NULL;
    if (wire == NULL || wire[0] == '\0')
        return true;
    if (type->form->from_wire(wire, arena, text))
        return true;
    *text = NULL;
    return refuse_value(type, "Salesforce", err);
}

/* PostgreSQL cannot hold U+0000: it is left out. */
static const char *string_without_nul(const json_t *value, struct arena *arena)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    size_t used = 0;

    if (memchr(text, '\0', size) == NULL)
        return text;
    char *copy = arena_alloc(arena, size + 1);
    for (size_t i = 0; i < size; i++)
        if (text[i] != '\0')
            copy[used++] = text[i];
    return copy;
}

/* Text forms take strings alone, anyType everything; a boolean is no number and no date. */
static bool accepts(const struct form *form, const json_t *value)
{
    if (json_is_string(value) || form == &form_any)
        return true;
    if (json_is_boolean(value))
        return form == &form_boolean;
    return json_is_number(value) &&
           (form == &form_number || form == &form_exact || form == &form_int || form == &form_long);
}

static const char *dump_compact(const json_t *value, struct arena *arena)
{
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    const char *text = dumped != NULL ? arena_strdup(arena, dumped) : "";

    free(dumped);
    return text;
}

static const char *wire_of(const json_t *value, struct arena *arena)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return string_without_nul(value, arena);
    case JSON_INTEGER:
        return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL: return double_text(json_real_value(value), arena);
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    default: return dump_compact(value, arena);
    }
}

bool fieldtype_from_json(const struct fieldtype *type, const json_t *value, struct arena *arena,
                         const char **text, struct error *err)
{
    *text = NULL;
    if (value == NULL || json_is_null(value))
        return true;
    if (!accepts(type->form, value))
        return refuse_value(type, "Salesforce", err);
    return fieldtype_from_text(type, wire_of(value, arena), arena, text, err);
}

bool fieldtype_to_text(const struct fieldtype *type, const char *text, struct arena *arena,
                       const char **wire, struct error *err)
{
    *wire = NULL;
    if (text == NULL || text[0] == '\0')
        return true;
    if (type->form->to_wire(text, arena, wire))
        return true;
    *wire = NULL;
    return refuse_value(type, "the table", err);
}

bool fieldtype_to_json(const struct fieldtype *type, const char *text, struct arena *arena,
                       json_t **value, struct error *err)
{
    const char *wire = NULL;

    *value = NULL;
    if (!fieldtype_to_text(type, text, arena, &wire, err))
        return false;
    *value = wire != NULL ? type->form->wrap(wire) : json_null();
    return *value != NULL || refuse_value(type, "the table", err);
}
