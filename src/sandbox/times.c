#include "sandbox/times.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 24 * 3600 };

static struct times_text format(const char *pattern, int64_t seconds)
{
    struct times_text out = {""};
    time_t time = (time_t)seconds;
    struct tm parts;

    gmtime_r(&time, &parts);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    strftime(out.text, sizeof(out.text), pattern, &parts);
#pragma GCC diagnostic pop
    return out;
}

struct times_text times_format_datetime(int64_t seconds)
{
    return format("%Y-%m-%dT%H:%M:%S.000+0000", seconds);
}

struct times_text times_format_date(int64_t seconds)
{
    return format("%Y-%m-%d", seconds);
}

struct times_text times_format_http(int64_t seconds)
{
    return format("%a, %d %b %Y %H:%M:%S GMT", seconds);
}

bool times_parse_http(const char *text, int64_t *seconds)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);

    if (end == NULL || *end != '\0')
        return false;
    *seconds = (int64_t)timegm(&parts);
    return true;
}

/* Reads exactly `count` digits; NULL in *text once something did not fit. */
static int take_digits(const char **text, int count)
{
    int number = 0;

    for (int i = 0; i < count && *text != NULL; i++) {
        if (!isdigit((unsigned char)**text)) {
            *text = NULL;
            return 0;
        }
        number = number * 10 + (*(*text)++ - '0');
    }
    return number;
}

static void take_character(const char **text, char character)
{
    if (*text != NULL && *(*text)++ != character)
        *text = NULL;
}

static bool take_date(const char **text, struct tm *parts)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_digits(text, 4);

    take_character(text, '-');
    int month = take_digits(text, 2);
    take_character(text, '-');
    int day = take_digits(text, 2);
    if (*text == NULL || month < 1 || month > 12 || day < 1 || day > month_days[month - 1])
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2 && day == 29 && !is_leap)
        return false;
    *parts = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return true;
}

static bool take_clock(const char **text, struct tm *parts)
{
    parts->tm_hour = take_digits(text, 2);
    take_character(text, ':');
    parts->tm_min = take_digits(text, 2);
    take_character(text, ':');
    parts->tm_sec = take_digits(text, 2);
    if (*text == NULL || parts->tm_hour > 23 || parts->tm_min > 59 || parts->tm_sec > 59)
        return false;
    if (**text == '.') {
        (*text)++;
        take_digits(text, 1);
        while (*text != NULL && isdigit((unsigned char)**text))
            (*text)++;
    }
    return *text != NULL;
}

static bool take_zone(const char **text, bool is_optional, int *offset_s)
{
    *offset_s = 0;
    if (**text == '\0')
        return is_optional;
    if (**text == 'Z' || **text == 'z') {
        (*text)++;
        return true;
    }
    if (**text != '+' && **text != '-')
        return false;
    int sign = *(*text)++ == '-' ? -1 : 1;
    int hours = take_digits(text, 2);
    if (*text != NULL && **text == ':')
        (*text)++;
    int minutes = take_digits(text, 2);
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return *text != NULL && hours < 24 && minutes < 60;
}

bool times_parse_datetime(const char *text, bool zone_is_optional, int64_t *seconds)
{
    struct tm parts;
    int offset_s = 0;

    if (!take_date(&text, &parts))
        return false;
    take_character(&text, 'T');
    if (text == NULL || !take_clock(&text, &parts) ||
        !take_zone(&text, zone_is_optional, &offset_s) || *text != '\0')
        return false;
    *seconds = (int64_t)timegm(&parts) - offset_s;
    return true;
}

bool times_parse_date(const char *text, int64_t *seconds)
{
    struct tm parts;

    if (!take_date(&text, &parts) || *text != '\0')
        return false;
    *seconds = (int64_t)timegm(&parts);
    return true;
}

/* The milliseconds behind a clock's dot; 0 without one. */
static int read_millis(const char *text)
{
    const char *dot = strchr(text, '.');
    int millis = 0;

    for (int i = 0, place = 100; dot != NULL && i < 3 && isdigit((unsigned char)dot[1 + i]); i++) {
        millis += (dot[1 + i] - '0') * place;
        place /= 10;
    }
    return millis;
}

bool times_parse_time(const char *text, struct times_text *time)
{
    struct tm parts = {0};
    int offset_s = 0;
    int millis = read_millis(text);

    if (!take_clock(&text, &parts) || !take_zone(&text, true, &offset_s) || *text != '\0')
        return false;
    int second = parts.tm_hour * 3600 + parts.tm_min * 60 + parts.tm_sec - offset_s;
    second = (second + DAY_S) % DAY_S;
    snprintf(time->text, sizeof(time->text), "%02d:%02d:%02d.%03dZ", second / 3600,
             second / 60 % 60, second % 60, millis);
    return true;
}
