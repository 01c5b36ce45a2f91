#include "sandbox/soql_dates.h"

#include <stddef.h>
#include <strings.h>
#include <time.h>

enum { DAY_S = 24 * 3600, MAX_NUMBER = 100000 };

enum unit { DAYS, WEEKS, MONTHS, QUARTERS, YEARS };

/* From `from` to `to` units after the present one; with has_number both are times n. */
static const struct literal {
    const char *word;
    enum unit unit;
    int from;
    int to;
    bool has_number;
} literals[] = {
    {"TODAY", DAYS, 0, 1, false},
    {"YESTERDAY", DAYS, -1, 0, false},
    {"TOMORROW", DAYS, 1, 2, false},
    {"THIS_WEEK", WEEKS, 0, 1, false},
    {"LAST_WEEK", WEEKS, -1, 0, false},
    {"NEXT_WEEK", WEEKS, 1, 2, false},
    {"THIS_MONTH", MONTHS, 0, 1, false},
    {"LAST_MONTH", MONTHS, -1, 0, false},
    {"NEXT_MONTH", MONTHS, 1, 2, false},
    {"THIS_QUARTER", QUARTERS, 0, 1, false},
    {"LAST_QUARTER", QUARTERS, -1, 0, false},
    {"NEXT_QUARTER", QUARTERS, 1, 2, false},
    {"THIS_YEAR", YEARS, 0, 1, false},
    {"LAST_YEAR", YEARS, -1, 0, false},
    {"NEXT_YEAR", YEARS, 1, 2, false},
    {"LAST_90_DAYS", DAYS, -90, 1, false},
    {"NEXT_90_DAYS", DAYS, 1, 91, false},
    {"LAST_N_DAYS", DAYS, -1, 1, true},
    {"NEXT_N_DAYS", DAYS, 1, 1, true},
    {"LAST_N_WEEKS", WEEKS, -1, 0, true},
    {"NEXT_N_WEEKS", WEEKS, 1, 1, true},
    {"LAST_N_MONTHS", MONTHS, -1, 0, true},
    {"NEXT_N_MONTHS", MONTHS, 1, 1, true},
    {"LAST_N_YEARS", YEARS, -1, 0, true},
    {"NEXT_N_YEARS", YEARS, 1, 1, true},
};

/* The first second of the unit that is `steps` after the one now is in. */
static int64_t start_of(enum unit unit, int64_t steps, int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm parts;

    gmtime_r(&now, &parts);
    struct tm day = {.tm_year = parts.tm_year, .tm_mon = parts.tm_mon, .tm_mday = parts.tm_mday};
    switch (unit) {
    case DAYS: day.tm_mday += (int)steps; break;
    case WEEKS: day.tm_mday += (int)steps * 7 - parts.tm_wday; break;
    case MONTHS:
        day.tm_mday = 1;
        day.tm_mon += (int)steps;
        break;
    case QUARTERS:
        day.tm_mday = 1;
        day.tm_mon += (int)steps * 3 - parts.tm_mon % 3;
        break;
    case YEARS:
        day.tm_mday = 1;
        day.tm_mon = 0;
        day.tm_year += (int)steps;
        break;
    }
    return (int64_t)timegm(&day);
}

/* LAST_N_DAYS:n reaches to the end of today, the other LAST_N ones to the start of this unit;
 * NEXT_N ones begin with the next unit and hold n of them. */
static void find_numbered(const struct literal *literal, int64_t number, int64_t now_s,
                          struct soql_range *range)
{
    bool is_past = literal->from < 0;

    range->start_s = start_of(literal->unit, is_past ? -number : 1, now_s);
    range->end_s = start_of(literal->unit, is_past ? literal->to : number + 1, now_s);
}

bool soql_dates_find(const char *word, int64_t number, int64_t now_s, struct soql_range *range)
{
    if (number < 0 || number > MAX_NUMBER)
        return false;
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        if (strcasecmp(literals[i].word, word) != 0)
            continue;
        if (literals[i].has_number) {
            find_numbered(&literals[i], number, now_s, range);
            return true;
        }
        range->start_s = start_of(literals[i].unit, literals[i].from, now_s);
        range->end_s = start_of(literals[i].unit, literals[i].to, now_s);
        return true;
    }
    if (strcasecmp(word, "N_DAYS_AGO") != 0)
        return false;
    range->start_s = start_of(DAYS, -number, now_s);
    range->end_s = range->start_s + DAY_S;
    return true;
}
