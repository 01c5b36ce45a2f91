#include "sandbox/formula_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sandbox/ids.h"
#include "sandbox/times.h"

enum { NUMBER_BYTES = 400 };

/* ---- characters ---- */

static bool is_inside_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += !is_inside_character(*text);
    return count;
}

/* Behind so many characters, or the end. */
static const char *skip_characters(const char *text, double count)
{
    for (; *text != '\0' && count >= 1; count--)
        do
            text++;
        while (is_inside_character(*text));
    return text;
}

static struct formula_value copy_part(const struct formula_run *run, const char *start,
                                      const char *end)
{
    return formula_text(arena_strndup(run->arena, start, (size_t)(end - start)));
}

/* The number of an argument; 0 for null. */
static double number_argument(const struct formula_run *run, const struct formula_node *call,
                              size_t index)
{
    struct formula_value value = formula_argument(run, call, index);

    return value.is_null ? 0 : value.number;
}

/* Null rather than more than a formula may hold. */
static struct formula_value join(const struct formula_run *run, const char *left, const char *right)
{
    if (strlen(left) + strlen(right) > FORMULA_MAX_TEXT_BYTES)
        return formula_null();
    return formula_text(arena_printf(run->arena, "%s%s", left, right));
}

static struct formula_value call_join(const struct formula_run *run,
                                      const struct formula_node *call)
{
    return join(run, formula_text_argument(run, call, 0), formula_text_argument(run, call, 1));
}

static struct formula_value call_left(const struct formula_run *run,
                                      const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);

    return copy_part(run, text, skip_characters(text, number_argument(run, call, 1)));
}

static struct formula_value call_right(const struct formula_run *run,
                                       const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    double over = (double)count_characters(text) - fmax(number_argument(run, call, 1), 0);

    return formula_text(skip_characters(text, ceil(over)));
}

static struct formula_value call_mid(const struct formula_run *run, const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    const char *start = skip_characters(text, number_argument(run, call, 1) - 1);

    return copy_part(run, start, skip_characters(start, number_argument(run, call, 2)));
}

static struct formula_value call_length(const struct formula_run *run,
                                        const struct formula_node *call)
{
    return formula_number((double)count_characters(formula_text_argument(run, call, 0)));
}

static struct formula_value call_trim(const struct formula_run *run,
                                      const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    const char *end = text + strlen(text);

    while (isspace((unsigned char)*text))
        text++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    return copy_part(run, text, end);
}

/* ASCII only. */
static struct formula_value change_case(const struct formula_run *run,
                                        const struct formula_node *call, char first, int step)
{
    char *text = arena_strdup(run->arena, formula_text_argument(run, call, 0));

    for (char *each = text; *each != '\0'; each++)
        if (*each >= first && *each <= first + 'z' - 'a')
            *each = (char)(*each + step);
    return formula_text(text);
}

static struct formula_value call_upper(const struct formula_run *run,
                                       const struct formula_node *call)
{
    return change_case(run, call, 'a', 'A' - 'a');
}

static struct formula_value call_lower(const struct formula_run *run,
                                       const struct formula_node *call)
{
    return change_case(run, call, 'A', 'a' - 'A');
}

/* ---- searching ---- */

static struct formula_value call_contains(const struct formula_run *run,
                                          const struct formula_node *call)
{
    return formula_boolean(
        strstr(formula_text_argument(run, call, 0), formula_text_argument(run, call, 1)) != NULL);
}

static struct formula_value call_begins(const struct formula_run *run,
                                        const struct formula_node *call)
{
    const char *start = formula_text_argument(run, call, 1);

    return formula_boolean(strncmp(formula_text_argument(run, call, 0), start, strlen(start)) == 0);
}

/* The place of the text in the other, from 1; 0 when it is not there. */
static struct formula_value call_find(const struct formula_run *run,
                                      const struct formula_node *call)
{
    const char *sought = formula_text_argument(run, call, 0);
    const char *text = formula_text_argument(run, call, 1);
    double first = call->argument_count > 2 ? number_argument(run, call, 2) : 1;
    const char *found = strstr(skip_characters(text, first - 1), sought);
    size_t before = 0;

    if (found == NULL || *sought == '\0')
        return formula_number(0);
    for (const char *each = text; each < found; each++)
        before += !is_inside_character(*each);
    return formula_number((double)before + 1);
}

static struct formula_value call_substitute(const struct formula_run *run,
                                            const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    const char *from = formula_text_argument(run, call, 1);
    const char *to = formula_text_argument(run, call, 2);
    struct buf out BUF_AUTO = {0};

    if (*from == '\0')
        return formula_text(text);
    buf_init(&out, FORMULA_MAX_TEXT_BYTES);
    for (const char *found = strstr(text, from); found != NULL; found = strstr(text, from)) {
        buf_append(&out, text, (size_t)(found - text));
        buf_text(&out, to);
        text = found + strlen(from);
    }
    buf_text(&out, text);
    return buf_is_full(&out) ? formula_null() : formula_text(arena_strdup(run->arena, out.data));
}

/* ---- to and from text ---- */

static struct formula_value number_text(const struct formula_run *run,
                                        const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);
    char text[NUMBER_BYTES];

    if (value.is_null)
        return formula_text("");
    /* Never with an exponent: 15 digits, then the zeros behind the point go. */
    double size = fabs(value.number);
    int before = size >= 1 ? (int)floor(log10(size)) + 1 : 1;
    snprintf(text, sizeof(text), "%.*f", before < 15 ? 15 - before : 0, value.number);
    if (strchr(text, '.') != NULL) {
        size_t length = strlen(text);

        while (text[length - 1] == '0')
            length--;
        text[text[length - 1] == '.' ? length - 1 : length] = '\0';
    }
    return formula_text(arena_strdup(run->arena, strcmp(text, "-0") == 0 ? "0" : text));
}

static struct formula_value date_text(const struct formula_run *run,
                                      const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);

    if (value.is_null)
        return formula_text("");
    return formula_text(arena_strdup(run->arena, times_format_date((int64_t)value.number).text));
}

/* 2026-01-31 10:20:30Z */
static struct formula_value datetime_text(const struct formula_run *run,
                                          const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);

    if (value.is_null)
        return formula_text("");
    struct times_text time = times_format_datetime((int64_t)value.number);
    return formula_text(arena_printf(run->arena, "%.10s %.8sZ", time.text, time.text + 11));
}

static struct formula_value picklist_text(const struct formula_run *run,
                                          const struct formula_node *call)
{
    return formula_text(formula_text_argument(run, call, 0));
}

static struct formula_value call_value(const struct formula_run *run,
                                       const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    char *end = NULL;

    text += strspn(text, " ");
    if (*text == '\0' || text[strspn(text, "0123456789+-.eE ")] != '\0')
        return formula_null();
    double number = strtod(text, &end);
    return end != text && end[strspn(end, " ")] == '\0' ? formula_number(number) : formula_null();
}

static struct formula_value call_is_number(const struct formula_run *run,
                                           const struct formula_node *call)
{
    return formula_boolean(!call_value(run, call).is_null);
}

static struct formula_value call_safe_id(const struct formula_run *run,
                                         const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    struct ids_text id;

    return formula_text(ids_normalize(text, &id) ? arena_strdup(run->arena, id.text) : text);
}

static struct formula_value call_break(const struct formula_run *run,
                                       const struct formula_node *call)
{
    (void)run;
    (void)call;
    return formula_text("\n");
}

/* ---- picklists ---- */

static struct formula_value call_is_picked(const struct formula_run *run,
                                           const struct formula_node *call)
{
    return formula_boolean(
        strcmp(formula_text_argument(run, call, 0), formula_text_argument(run, call, 1)) == 0);
}

/* One of the values between semicolons. */
static struct formula_value call_includes(const struct formula_run *run,
                                          const struct formula_node *call)
{
    const char *text = formula_text_argument(run, call, 0);
    const char *sought = formula_text_argument(run, call, 1);

    while (*text != '\0') {
        size_t length = strcspn(text, ";");

        if (length == strlen(sought) && strncmp(text, sought, length) == 0)
            return formula_boolean(true);
        text += length + (text[length] == ';');
    }
    return formula_boolean(false);
}

const struct formula_function formula_text_table[] = {
    {"&", "tt", 't', false, call_join},
    {"+", "tt", 't', false, call_join},
    {"BEGINS", "tt", 'b', false, call_begins},
    {"BR", "", 't', false, call_break},
    {"CASESAFEID", "t", 't', false, call_safe_id},
    {"CONTAINS", "tt", 'b', false, call_contains},
    {"FIND", "tt?n", 'n', false, call_find},
    {"INCLUDES", "pt", 'b', false, call_includes},
    {"ISNUMBER", "t", 'b', false, call_is_number},
    {"ISPICKVAL", "pt", 'b', false, call_is_picked},
    {"LEFT", "tn", 't', false, call_left},
    {"LEN", "t", 'n', false, call_length},
    {"LOWER", "t", 't', false, call_lower},
    {"MID", "tnn", 't', false, call_mid},
    {"RIGHT", "tn", 't', false, call_right},
    {"SUBSTITUTE", "ttt", 't', false, call_substitute},
    {"TEXT", "n", 't', false, number_text},
    {"TEXT", "d", 't', false, date_text},
    {"TEXT", "m", 't', false, datetime_text},
    {"TEXT", "p", 't', false, picklist_text},
    {"TRIM", "t", 't', false, call_trim},
    {"UPPER", "t", 't', false, call_upper},
    {"VALUE", "t", 'n', false, call_value},
    {.name = NULL},
};
