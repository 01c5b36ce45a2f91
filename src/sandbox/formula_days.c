#include "sandbox/formula_days.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sandbox/times.h"

/* Years 1 to 9999, which is what a date's text holds. */
static const double first_s = -62135596800.0;
static const double last_s = 253402300799.0;

static struct formula_value moment(double seconds)
{
    if (!(seconds >= first_s && seconds <= last_s))
        return formula_null();
    return formula_number(floor(seconds));
}

static double first_of_day(double seconds)
{
    return floor(seconds / FORMULA_DAY_S) * FORMULA_DAY_S;
}

/* The calendar's parts; false for null. */
static bool read_parts(const struct formula_run *run, const struct formula_node *call,
                       struct tm *parts)
{
    struct formula_value value = formula_argument(run, call, 0);
    time_t time = value.is_null ? 0 : (time_t)value.number;

    gmtime_r(&time, parts);
    return !value.is_null;
}

static struct formula_value call_today(const struct formula_run *run,
                                       const struct formula_node *call)
{
    (void)call;
    return moment(first_of_day((double)run->now_s));
}

static struct formula_value call_now(const struct formula_run *run, const struct formula_node *call)
{
    (void)call;
    return moment((double)run->now_s);
}

static struct formula_value make_date(int year, int month, int day)
{
    char text[40];
    int64_t seconds = 0;

    snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
    return times_parse_date(text, &seconds) ? formula_number((double)seconds) : formula_null();
}

/* Null for a day that does not exist. */
static struct formula_value call_date(const struct formula_run *run,
                                      const struct formula_node *call)
{
    int parts[3];

    for (size_t i = 0; i < 3; i++) {
        struct formula_value value = formula_argument(run, call, i);

        if (value.is_null || !(value.number >= 1 && value.number <= 9999))
            return formula_null();
        parts[i] = (int)value.number;
    }
    return make_date(parts[0], parts[1], parts[2]);
}

static struct formula_value call_year(const struct formula_run *run,
                                      const struct formula_node *call)
{
    struct tm parts;

    return read_parts(run, call, &parts) ? formula_number(parts.tm_year + 1900) : formula_null();
}

static struct formula_value call_month(const struct formula_run *run,
                                       const struct formula_node *call)
{
    struct tm parts;

    return read_parts(run, call, &parts) ? formula_number(parts.tm_mon + 1) : formula_null();
}

static struct formula_value call_day(const struct formula_run *run, const struct formula_node *call)
{
    struct tm parts;

    return read_parts(run, call, &parts) ? formula_number(parts.tm_mday) : formula_null();
}

/* 1 is Sunday. */
static struct formula_value call_weekday(const struct formula_run *run,
                                         const struct formula_node *call)
{
    struct tm parts;

    return read_parts(run, call, &parts) ? formula_number(parts.tm_wday + 1) : formula_null();
}

/* The same day so many months on, or the last one of that month; the last day stays the last. */
static struct formula_value call_add_months(const struct formula_run *run,
                                            const struct formula_node *call)
{
    struct formula_value months = formula_argument(run, call, 1);
    struct tm parts;

    if (!read_parts(run, call, &parts) || months.is_null || fabs(months.number) > 120000)
        return formula_null();
    int month = parts.tm_year * 12 + parts.tm_mon + (int)months.number;
    struct tm next = {.tm_year = month / 12, .tm_mon = month % 12 + 1, .tm_mday = 0};
    struct tm own = {.tm_year = parts.tm_year, .tm_mon = parts.tm_mon + 1, .tm_mday = 0};
    timegm(&next);
    timegm(&own);
    bool is_last = parts.tm_mday == own.tm_mday;
    int day = is_last || parts.tm_mday > next.tm_mday ? next.tm_mday : parts.tm_mday;
    return make_date(next.tm_year + 1900, next.tm_mon + 1, day);
}

static struct formula_value call_date_of_text(const struct formula_run *run,
                                              const struct formula_node *call)
{
    int64_t seconds = 0;

    if (!times_parse_date(formula_text_argument(run, call, 0), &seconds))
        return formula_null();
    return formula_number((double)seconds);
}

static struct formula_value call_date_of_moment(const struct formula_run *run,
                                                const struct formula_node *call)
{
    struct formula_value value = formula_argument(run, call, 0);

    return value.is_null ? value : moment(first_of_day(value.number));
}

static struct formula_value call_moment_of_date(const struct formula_run *run,
                                                const struct formula_node *call)
{
    return formula_argument(run, call, 0);
}

/* "2026-01-31 10:20:30", in UTC */
static struct formula_value call_moment_of_text(const struct formula_run *run,
                                                const struct formula_node *call)
{
    char *text = arena_strdup(run->arena, formula_text_argument(run, call, 0));
    char *blank = strchr(text, ' ');
    int64_t seconds = 0;

    if (blank != NULL)
        *blank = 'T';
    if (!times_parse_datetime(text, true, &seconds))
        return formula_null();
    return formula_number((double)seconds);
}

/* ---- counting days ---- */

/* Of a date, whole days; of a datetime, parts of a day too. */
static struct formula_value move(const struct formula_value *time, const struct formula_value *days,
                                 double step)
{
    if (time->is_null || days->is_null)
        return formula_null();
    return moment(time->number + round(step * days->number));
}

static struct formula_value call_date_later(const struct formula_run *run,
                                            const struct formula_node *call)
{
    struct formula_value date = formula_argument(run, call, 0);
    struct formula_value days = formula_argument(run, call, 1);

    days.number = trunc(days.number);
    return move(&date, &days, FORMULA_DAY_S);
}

static struct formula_value call_date_earlier(const struct formula_run *run,
                                              const struct formula_node *call)
{
    struct formula_value date = formula_argument(run, call, 0);
    struct formula_value days = formula_argument(run, call, 1);

    days.number = trunc(days.number);
    return move(&date, &days, -FORMULA_DAY_S);
}

static struct formula_value call_moment_later(const struct formula_run *run,
                                              const struct formula_node *call)
{
    struct formula_value time = formula_argument(run, call, 0);
    struct formula_value days = formula_argument(run, call, 1);

    return move(&time, &days, FORMULA_DAY_S);
}

static struct formula_value call_moment_earlier(const struct formula_run *run,
                                                const struct formula_node *call)
{
    struct formula_value time = formula_argument(run, call, 0);
    struct formula_value days = formula_argument(run, call, 1);

    return move(&time, &days, -FORMULA_DAY_S);
}

static struct formula_value call_days_between(const struct formula_run *run,
                                              const struct formula_node *call)
{
    struct formula_value left = formula_argument(run, call, 0);
    struct formula_value right = formula_argument(run, call, 1);

    if (left.is_null || right.is_null)
        return formula_null();
    return formula_number((left.number - right.number) / FORMULA_DAY_S);
}

const struct formula_function formula_days_table[] = {
    {"+", "dn", 'd', false, call_date_later},
    {"-", "dn", 'd', false, call_date_earlier},
    {"+", "mn", 'm', false, call_moment_later},
    {"-", "mn", 'm', false, call_moment_earlier},
    {"-", "dd", 'n', false, call_days_between},
    {"-", "mm", 'n', false, call_days_between},
    {"ADDMONTHS", "dn", 'd', false, call_add_months},
    {"DATE", "nnn", 'd', false, call_date},
    {"DATETIMEVALUE", "t", 'm', false, call_moment_of_text},
    {"DATETIMEVALUE", "d", 'm', false, call_moment_of_date},
    {"DATEVALUE", "t", 'd', false, call_date_of_text},
    {"DATEVALUE", "m", 'd', false, call_date_of_moment},
    {"DAY", "d", 'n', false, call_day},
    {"MONTH", "d", 'n', false, call_month},
    {"NOW", "", 'm', false, call_now},
    {"TODAY", "", 'd', false, call_today},
    {"WEEKDAY", "d", 'n', false, call_weekday},
    {"YEAR", "d", 'n', false, call_year},
    {.name = NULL},
};
