/*
 * Several currencies in the organisation: the field CurrencyIsoCode of every record, the rows of
 * CurrencyType, and the user's DefaultCurrencyIsoCode. Amounts are never converted.
 *
 * Named as "USD,EUR=0.92,GBP=0.79": the first is the corporate currency, the others have their
 * rate.
 */
#ifndef PGFORCE_SANDBOX_CURRENCIES_H
#define PGFORCE_SANDBOX_CURRENCIES_H

#include <jansson.h>

#include "base/error.h"

/* {"field": the definition of CurrencyIsoCode, "objects": definitions}, or NULL after setting err.
 */
json_t *currencies_read(const char *text, struct error *err);

#endif
