/*
 * Date literals: the day or days that a word like LAST_N_DAYS:7 stands for, seen from `now`.
 *
 * The organisation's users live in UTC. Source: SOQL and SOSL Reference, "Date Literals".
 */
#ifndef PGFORCE_SANDBOX_SOQL_DATES_H
#define PGFORCE_SANDBOX_SOQL_DATES_H

#include <stdbool.h>
#include <stdint.h>

/* From the first second of a day to the first second of another. */
struct soql_range {
    int64_t start_s;
    int64_t end_s;
};

/* False when there is no such word. */
bool soql_dates_find(const char *word, int64_t number, int64_t now_s, struct soql_range *range);

#endif
