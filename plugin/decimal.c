#include "decimal.h"

#include <float.h>
#include <math.h>
#include <stdint.h>

enum { DECIMALS = 4, SCALE = 10000 };

/* Below it a number and its decimals have at most 15 digits together. */
static const double LIMIT = 1e11;

static char *write_digits(char *text, uint64_t value)
{
    char digits[24];
    int count = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0)
        *text++ = digits[--count];
    return text;
}

/* Without the zeros at its end. */
static char *write_fraction(char *text, unsigned fraction)
{
    char *at = text + 1 + DECIMALS;

    text[0] = '.';
    for (int i = DECIMALS; i > 0; i--) {
        text[i] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
    while (at[-1] == '0')
        at--;
    return at;
}

int decimal_write(double value, char text[DECIMAL_BYTES])
{
    double magnitude = fabs(value);
    char *at = text;

    /* NaN is not below anything; zero has a sign of its own. */
    if (FLT_EVAL_METHOD != 0 || !(magnitude < LIMIT) || value == 0)
        return 0;

    uint64_t scaled = (uint64_t)(magnitude * SCALE + 0.5);
    if ((double)scaled / SCALE != magnitude || scaled == 0)
        return 0;
    if (value < 0)
        *at++ = '-';
    at = write_digits(at, scaled / SCALE);
    if (scaled % SCALE != 0)
        at = write_fraction(at, (unsigned)(scaled % SCALE));
    return (int)(at - text);
}
