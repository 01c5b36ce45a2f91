/*
 * The organisation's allowance of API requests, and a mapping's own share of it.
 *
 * Three bands: free, careful, where writing slows down more and more, and the reserve, where
 * nothing is sent, so that people and other programs can still work. Pure: usage comes in as
 * arguments. Sources: Salesforce's REST API Developer Guide, "Limit Info Header"; Heroku Connect's
 * setting sf_max_daily_api_calls.
 */
#ifndef PGFORCE_SYNC_BUDGET_H
#define PGFORCE_SYNC_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum budget_band { BUDGET_FREE, BUDGET_CAREFUL, BUDGET_RESERVE };

/* Of the last 24 hours; max 0: not known, so free. */
enum budget_band budget_band(int64_t used, int64_t max);

/* How long to wait between two rounds of requests: 0 when free; in the reserve, until asking again
 * whether requests have become available is worth one of them. */
int64_t budget_pause_ms(int64_t used, int64_t max);

/* "free", "careful", "reserve". */
const char *budget_band_name(enum budget_band band);

#endif
