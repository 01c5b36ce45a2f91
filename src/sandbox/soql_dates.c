#include "sandbox/soql_dates.h"

#include <stddef.h>
#include <strings.h>
#include <time.h>

enum { MAX_NUMBER = 100000 };

enum unit { DAYS, WEEKS, MONTHS, QUARTERS, YEARS };

/* What the n of LAST_N_WEEKS:n counts: the units of a span, or how long ago one was. */
enum counting { NOTHING, SPAN, AGO };

/* From `from` to `to` units after the present one; with a number both are times n. A fiscal year
 * is a calendar year here. */
static const struct literal {
    const char *word;
    enum unit unit;
    int from;
    int to;
    enum counting counting;
} literals[] = {
    {"TODAY", DAYS, 0, 1, NOTHING},
    {"YESTERDAY", DAYS, -1, 0, NOTHING},
    {"TOMORROW", DAYS, 1, 2, NOTHING},
    {"THIS_WEEK", WEEKS, 0, 1, NOTHING},
    {"LAST_WEEK", WEEKS, -1, 0, NOTHING},
    {"NEXT_WEEK", WEEKS, 1, 2, NOTHING},
    {"THIS_MONTH", MONTHS, 0, 1, NOTHING},
    {"LAST_MONTH", MONTHS, -1, 0, NOTHING},
    {"NEXT_MONTH", MONTHS, 1, 2, NOTHING},
    {"THIS_QUARTER", QUARTERS, 0, 1, NOTHING},
    {"LAST_QUARTER", QUARTERS, -1, 0, NOTHING},
    {"NEXT_QUARTER", QUARTERS, 1, 2, NOTHING},
    {"THIS_YEAR", YEARS, 0, 1, NOTHING},
    {"LAST_YEAR", YEARS, -1, 0, NOTHING},
    {"NEXT_YEAR", YEARS, 1, 2, NOTHING},
    {"LAST_90_DAYS", DAYS, -90, 1, NOTHING},
    {"NEXT_90_DAYS", DAYS, 1, 91, NOTHING},
    {"LAST_N_DAYS", DAYS, -1, 1, SPAN},
    {"NEXT_N_DAYS", DAYS, 1, 1, SPAN},
    {"LAST_N_WEEKS", WEEKS, -1, 0, SPAN},
    {"NEXT_N_WEEKS", WEEKS, 1, 1, SPAN},
    {"LAST_N_MONTHS", MONTHS, -1, 0, SPAN},
    {"NEXT_N_MONTHS", MONTHS, 1, 1, SPAN},
    {"LAST_N_YEARS", YEARS, -1, 0, SPAN},
    {"NEXT_N_YEARS", YEARS, 1, 1, SPAN},
    {"THIS_FISCAL_QUARTER", QUARTERS, 0, 1, NOTHING},
    {"LAST_FISCAL_QUARTER", QUARTERS, -1, 0, NOTHING},
    {"NEXT_FISCAL_QUARTER", QUARTERS, 1, 2, NOTHING},
    {"THIS_FISCAL_YEAR", YEARS, 0, 1, NOTHING},
    {"LAST_FISCAL_YEAR", YEARS, -1, 0, NOTHING},
    {"NEXT_FISCAL_YEAR", YEARS, 1, 2, NOTHING},
    {"LAST_N_QUARTERS", QUARTERS, -1, 0, SPAN},
    {"NEXT_N_QUARTERS", QUARTERS, 1, 1, SPAN},
    {"LAST_N_FISCAL_QUARTERS", QUARTERS, -1, 0, SPAN},
    {"NEXT_N_FISCAL_QUARTERS", QUARTERS, 1, 1, SPAN},
    {"LAST_N_FISCAL_YEARS", YEARS, -1, 0, SPAN},
    {"NEXT_N_FISCAL_YEARS", YEARS, 1, 1, SPAN},
    {"N_DAYS_AGO", DAYS, -1, 0, AGO},
    {"N_WEEKS_AGO", WEEKS, -1, 0, AGO},
    {"N_MONTHS_AGO", MONTHS, -1, 0, AGO},
    {"N_QUARTERS_AGO", QUARTERS, -1, 0, AGO},
    {"N_YEARS_AGO", YEARS, -1, 0, AGO},
    {"N_FISCAL_QUARTERS_AGO", QUARTERS, -1, 0, AGO},
    {"N_FISCAL_YEARS_AGO", YEARS, -1, 0, AGO},
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
 * NEXT_N ones begin with the next unit and hold n of them; N_..._AGO is one unit. */
static void find_numbered(const struct literal *literal, int64_t number, int64_t now_s,
                          struct soql_range *range)
{
    bool is_past = literal->from < 0;

    if (literal->counting == AGO) {
        range->start_s = start_of(literal->unit, -number, now_s);
        range->end_s = start_of(literal->unit, -number + 1, now_s);
        return;
    }
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
        if (literals[i].counting != NOTHING) {
            find_numbered(&literals[i], number, now_s, range);
            return true;
        }
        range->start_s = start_of(literals[i].unit, literals[i].from, now_s);
        range->end_s = start_of(literals[i].unit, literals[i].to, now_s);
        return true;
    }
    return false;
}
