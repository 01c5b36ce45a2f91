#include "mapping/decimal.h"

#include <float.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { EXPONENT_MAX = 400 };

/* The parts of a plain decimal: -12.340 has 2 digits before the point, and 2 behind it that count.
 */
struct decimal {
    size_t size;   /* without zeros at the end of the fraction */
    size_t digits; /* that count: no zeros in front */
    size_t zeros;  /* behind the point, before the first other digit, when 0 stands before it */
    bool is_plain; /* no exponent, no zeros in front */
};

static struct decimal read_decimal(const char *wire)
{
    const char *start = wire + (*wire == '-');
    size_t whole = strspn(start, "0123456789");
    bool has_point = start[whole] == '.';
    const char *fraction = start + whole + has_point;
    size_t size = has_point ? strspn(fraction, "0123456789") : 0;
    struct decimal decimal = {.is_plain = whole > 0 && (!has_point || size > 0) &&
                                          fraction[size] == '\0' && (whole == 1 || *start != '0')};

    while (size > 0 && fraction[size - 1] == '0')
        size--;
    bool is_below_one = *start == '0';
    decimal.size = (size_t)((size > 0 ? fraction + size : start + whole) - wire);
    decimal.zeros = is_below_one ? strspn(fraction, "0") : 0;
    decimal.digits =
        is_below_one ? size - (decimal.zeros < size ? decimal.zeros : size) : whole + size;
    return decimal;
}

static const char *cut(const char *wire, size_t size, struct arena *arena)
{
    return wire[size] == '\0' ? wire : arena_strndup(arena, wire, size);
}

/* Any decimal of 15 digits is the shortest text of its double, so it needs no search; most are. */
static bool is_shortest(const struct decimal *decimal)
{
    return decimal->is_plain && decimal->digits > 0 && decimal->digits <= DBL_DIG &&
           decimal->zeros <= 3;
}

const char *decimal_short(const char *wire, struct arena *arena)
{
    struct decimal decimal = read_decimal(wire);

    return is_shortest(&decimal) ? cut(wire, decimal.size, arena) : NULL;
}

/* The digits without point, sign and exponent; *point is how many of them stand before the point.
 */
static char *read_digits(const char *wire, int *point, struct arena *arena)
{
    size_t whole = strspn(wire, "0123456789");
    const char *fraction = wire + whole + (wire[whole] == '.');
    size_t parts = strspn(fraction, "0123456789");
    const char *rest = fraction + parts;
    char *end = NULL;
    long exponent = 0;

    if (*rest == 'e' || *rest == 'E') {
        exponent = strtol(rest + 1, &end, 10);
        if (end == rest + 1)
            return NULL;
        rest = end;
    }
    if (whole + parts == 0 || *rest != '\0' || labs(exponent) > EXPONENT_MAX)
        return NULL;
    *point = (int)whole + (int)exponent;
    return arena_printf(arena, "%.*s%.*s", (int)whole, wire, (int)parts, fraction);
}

/* Zeros, as many as are missing between the digits and the point. */
static const char *zeros(int count, struct arena *arena)
{
    char *text = arena_alloc(arena, count > 0 ? (size_t)count + 1 : 1);

    if (count > 0)
        memset(text, '0', (size_t)count);
    return text;
}

const char *decimal_plain(const char *wire, struct arena *arena)
{
    bool is_negative = *wire == '-';
    int point = 0;
    char *digits = read_digits(wire + (*wire == '-' || *wire == '+'), &point, arena);

    if (digits == NULL)
        return NULL;
    for (; *digits == '0'; digits++)
        point--;
    size_t size = strlen(digits);
    while (size > 0 && digits[size - 1] == '0')
        digits[--size] = '\0';
    if (size == 0)
        return "0";
    const char *sign = is_negative ? "-" : "";
    if (point <= 0)
        return arena_printf(arena, "%s0.%s%s", sign, zeros(-point, arena), digits);
    if ((size_t)point >= size)
        return arena_printf(arena, "%s%s%s", sign, digits, zeros(point - (int)size, arena));
    return arena_printf(arena, "%s%.*s.%s", sign, point, digits, digits + point);
}
