#include "change/native.h"

#include <string.h>

static const int64_t US_PER_DAY = INT64_C(86400000000);

static size_t write_digits(char *text, uint64_t value, size_t at_least)
{
    char reversed[24];
    size_t count = 0;

    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count < at_least)
        reversed[count++] = '0';
    for (size_t i = 0; i < count; i++)
        text[i] = reversed[count - 1 - i];
    return count;
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
    size_t at = write_digits(text, (uint64_t)(day.year > 0 ? day.year : 1 - day.year), 4);

    text[at++] = '-';
    at += write_digits(text + at, day.month, 2);
    text[at++] = '-';
    return at + write_digits(text + at, day.day, 2);
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
    uint64_t seconds = (uint64_t)us_of_day / 1000000;
    uint64_t fraction = (uint64_t)us_of_day % 1000000;
    size_t at = 0;

    text[at++] = ' ';
    at += write_digits(text + at, seconds / 3600, 2);
    text[at++] = ':';
    at += write_digits(text + at, seconds / 60 % 60, 2);
    text[at++] = ':';
    at += write_digits(text + at, seconds % 60, 2);
    if (fraction == 0)
        return at;
    text[at++] = '.';
    at += write_digits(text + at, fraction, 6);
    while (text[at - 1] == '0')
        at--;
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
