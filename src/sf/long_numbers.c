#include "sf/long_numbers.h"

#include <string.h>

/* A double keeps any 15 digits; a whole number of 18 is kept as an integer. */
enum { REAL_DIGITS = 15, WHOLE_DIGITS = 18 };

/* The length of the string at text, its quotes included, or up to the end. */
static size_t string_length(const char *text)
{
    size_t length = 1;

    for (;;) {
        length += strcspn(text + length, "\"\\");
        if (text[length] == '\0')
            return length;
        if (text[length] == '"')
            return length + 1;
        length += text[length + 1] != '\0' ? 2 : 1;
    }
}

static bool is_long(const char *number, size_t length)
{
    size_t digits = 0;
    bool is_real = false;

    for (size_t i = 0; i < length && number[i] != 'e' && number[i] != 'E'; i++) {
        bool is_digit = number[i] >= '0' && number[i] <= '9';

        /* Zeros in front say nothing. */
        if (is_digit && (digits > 0 || number[i] != '0'))
            digits++;
        is_real = is_real || number[i] == '.';
    }
    return digits > (is_real ? REAL_DIGITS : WHOLE_DIGITS);
}

/* The next number from `at` on that is long, and its length; NULL when there is none. */
static const char *find_long(const char *at, size_t *length)
{
    while (*at != '\0') {
        if (*at == '"') {
            at += string_length(at);
            continue;
        }
        *length = strspn(at, "+-.0123456789eE");
        if (strchr("-0123456789", *at) != NULL && is_long(at, *length))
            return at;
        /* true and false have an e of their own. */
        at += *length > 0 ? *length : 1;
    }
    return NULL;
}

bool sf_long_numbers(const struct buf *json, struct buf *out)
{
    const char *from = json->data;
    size_t length;
    const char *found = find_long(from, &length);

    if (found == NULL)
        return false;
    for (; found != NULL; found = find_long(from, &length)) {
        buf_append(out, from, (size_t)(found - from));
        buf_char(out, '"');
        buf_append(out, found, length);
        buf_char(out, '"');
        from = found + length;
    }
    buf_append(out, from, json->size_bytes - (size_t)(from - json->data));
    return true;
}
