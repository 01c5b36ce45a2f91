#include "change/native.h"

#include <string.h>

static const int64_t US_PER_DAY = INT64_C(86400000000);

/* "00" to "99". */
static const char PAIRS[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "37383940414243444546474849505152535455565758596061626364656667686970717273"
    "7475767778798081828384858687888990919293949596979899";

static void write_pair(char *text, unsigned value)
{
    memcpy(text, PAIRS + 2 * (size_t)value, 2);
}

static size_t write_digits(char *text, uint64_t value, size_t at_least)
{
    char digits[24];
    char *end = digits + sizeof(digits);
    char *at = end;

    for (; value >= 100; value /= 100)
        write_pair(at -= 2, (unsigned)(value % 100));
    if (value >= 10)
        write_pair(at -= 2, (unsigned)value);
    else
        *--at = (char)('0' + value);
    while ((size_t)(end - at) < at_least)
        *--at = '0';
    memcpy(text, at, (size_t)(end - at));
    return (size_t)(end - at);
}

size_t native_integer(char text[NATIVE_BYTES], int64_t value)
{
    size_t at = 0;
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        text[at++] = '-';
        magnitude = 0 - magnitude;
    }
    return at + write_digits(text + at, magnitude, 1);
}

struct day {
    int64_t year; /* astronomical: 0 is 1 BC */
    unsigned month;
    unsigned day;
};

/*
 * Proleptic Gregorian calendar, in eras of 400 years that begin on 1 March, so that the leap day is
 * the last of its year.
 */
static struct day day_of(int64_t days_since_2000)
{
    int64_t days = days_since_2000 + 730425; /* since 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct day){
        .year = era * 400 + year_of_era + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static size_t write_day(char *text, struct day day)
{
    uint64_t year = (uint64_t)(day.year > 0 ? day.year : 1 - day.year);
    size_t at = 4;

    if (year <= 9999) {
        write_pair(text, (unsigned)(year / 100));
        write_pair(text + 2, (unsigned)(year % 100));
    } else {
        at = write_digits(text, year, 4);
    }
    text[at] = '-';
    write_pair(text + at + 1, day.month);
    text[at + 3] = '-';
    write_pair(text + at + 4, day.day);
    return at + 6;
}

static size_t write_era(char *text, struct day day)
{
    if (day.year > 0)
        return 0;
    memcpy(text, " BC", 3);
    return 3;
}

size_t native_date(char text[NATIVE_BYTES], int32_t days_since_2000)
{
    struct day day = day_of(days_since_2000);
    size_t at = write_day(text, day);

    return at + write_era(text + at, day);
}

/* " 10:20:30" and, without its trailing zeros, ".123456". */
static size_t write_time(char *text, int64_t us_of_day)
{
    unsigned seconds = (unsigned)(us_of_day / 1000000);
    unsigned fraction = (unsigned)(us_of_day % 1000000);
    size_t at = 9;

    text[0] = ' ';
    write_pair(text + 1, seconds / 3600);
    text[3] = ':';
    write_pair(text + 4, seconds / 60 % 60);
    text[6] = ':';
    write_pair(text + 7, seconds % 60);
    if (fraction == 0)
        return at;
    text[9] = '.';
    write_pair(text + 10, fraction / 10000);
    write_pair(text + 12, fraction / 100 % 100);
    write_pair(text + 14, fraction % 100);
    for (at = 16; text[at - 1] == '0'; at--)
        continue;
    return at;
}

size_t native_timestamp(char text[NATIVE_BYTES], int64_t us_since_2000)
{
    int64_t days = us_since_2000 / US_PER_DAY;
    int64_t us_of_day = us_since_2000 % US_PER_DAY;

    if (us_of_day < 0) {
        us_of_day += US_PER_DAY;
        days--;
    }

    struct day day = day_of(days);
    size_t at = write_day(text, day);
    at += write_time(text + at, us_of_day);
    return at + write_era(text + at, day);
}
