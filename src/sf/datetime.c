#include "sf/datetime.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MICROS = 1000000, FRACTION_DIGITS = 6 };

/* Reads exactly count digits and moves on. */
static bool read_digits(const char **text, int count, int *out)
{
    int number = 0;

    for (int i = 0; i < count; i++) {
        char digit = (*text)[i];
        if (digit < '0' || digit > '9')
            return false;
        number = number * 10 + (digit - '0');
    }
    *text += count;
    *out = number;
    return true;
}

static bool read_char(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

/* The fraction is optional; digits beyond the sixth are dropped. */
static bool read_fraction(const char **text, int *micros)
{
    int digits = 0;
    int digit;

    *micros = 0;
    if (!read_char(text, '.'))
        return true;
    while (read_digits(text, 1, &digit)) {
        if (digits < FRACTION_DIGITS)
            *micros = *micros * 10 + digit;
        digits++;
    }
    for (int i = digits; i < FRACTION_DIGITS; i++)
        *micros *= 10;
    return digits > 0;
}

/* "Z", "+0100" or "+01:00". */
static bool read_offset(const char **text, int *seconds)
{
    int hours;
    int minutes;

    *seconds = 0;
    if (read_char(text, 'Z'))
        return true;
    int sign = **text == '-' ? -1 : 1;
    if (!read_char(text, '+') && !read_char(text, '-'))
        return false;
    if (!read_digits(text, 2, &hours))
        return false;
    read_char(text, ':');
    if (!read_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool read_date(const char **text, struct tm *tm)
{
    if (!read_digits(text, 4, &tm->tm_year) || !read_char(text, '-') ||
        !read_digits(text, 2, &tm->tm_mon) || !read_char(text, '-') ||
        !read_digits(text, 2, &tm->tm_mday))
        return false;
    if (tm->tm_year < 1)
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    return true;
}

static bool read_time(const char **text, struct tm *tm)
{
    if (!read_digits(text, 2, &tm->tm_hour) || !read_char(text, ':') ||
        !read_digits(text, 2, &tm->tm_min) || !read_char(text, ':') ||
        !read_digits(text, 2, &tm->tm_sec))
        return false;
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

/* timegm mends what is no date (February 30th); such a text is refused instead. */
static bool to_seconds(const struct tm *tm, int64_t *out)
{
    struct tm mended = *tm;

    *out = timegm(&mended);
    return mended.tm_year == tm->tm_year && mended.tm_mon == tm->tm_mon &&
           mended.tm_mday == tm->tm_mday;
}

bool sf_datetime_parse(const char *text, int64_t *out_us)
{
    struct tm tm = {0};
    int offset_s;
    int micros;
    int64_t seconds;

    if (!read_date(&text, &tm) || !read_char(&text, 'T') || !read_time(&text, &tm))
        return false;
    if (!read_fraction(&text, &micros) || !read_offset(&text, &offset_s) || *text != '\0')
        return false;
    if (!to_seconds(&tm, &seconds))
        return false;
    *out_us = (seconds - offset_s) * MICROS + micros;
    return true;
}

static struct sf_datetime_text format(int64_t time_us, const char *zone)
{
    struct sf_datetime_text text;
    int64_t micros = time_us % MICROS;
    struct tm tm;

    if (micros < 0)
        micros += MICROS;
    time_t seconds = (time_t)((time_us - micros) / MICROS);
    gmtime_r(&seconds, &tm);
    snprintf(text.text, sizeof(text.text), "%04d-%02d-%02dT%02d:%02d:%02d.%03d%s",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
             (int)(micros / 1000), zone);
    return text;
}

struct sf_datetime_text sf_datetime_format(int64_t time_us)
{
    return format(time_us, "+0000");
}

struct sf_datetime_text sf_datetime_format_utc(int64_t time_us)
{
    return format(time_us, "Z");
}

static bool read_month(const char *text, int *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++) {
        if (strncmp(text, names + 3 * i, 3) == 0) {
            *month = i;
            return true;
        }
    }
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale. */
bool sf_datetime_parse_http(const char *text, int64_t *out_s)
{
    const char *comma = strchr(text, ',');
    struct tm tm = {0};

    if (comma == NULL || comma[1] != ' ')
        return false;
    text = comma + 2;
    if (!read_digits(&text, 2, &tm.tm_mday) || !read_char(&text, ' ') ||
        !read_month(text, &tm.tm_mon))
        return false;
    text += 3;
    if (!read_char(&text, ' ') || !read_digits(&text, 4, &tm.tm_year) || !read_char(&text, ' ') ||
        !read_time(&text, &tm) || strcmp(text, " GMT") != 0)
        return false;
    tm.tm_year -= 1900;
    return to_seconds(&tm, out_s);
}

struct sf_datetime_text sf_datetime_format_http(int64_t time_s)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct sf_datetime_text out;
    time_t seconds = (time_t)time_s;
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    snprintf(out.text, sizeof(out.text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}
