/*
 * FORMAT() and convertCurrency() in SQL: a value as a user in the United States sees it, and an
 * amount in the corporate currency, which is every user's.
 *
 * Without several currencies there is nothing to convert. Source: SOQL and SOSL Reference, "FORMAT
 * ()" and "convertCurrency()".
 */
#ifndef PGFORCE_SANDBOX_SOQL_FORMAT_H
#define PGFORCE_SANDBOX_SOQL_FORMAT_H

#include "sandbox/soql_terms.h"

/* The term becomes the text that is shown. */
void soql_format_show(struct soql_compiler *compiler, struct soql_term *term);

/* An amount becomes the same in the corporate currency. */
void soql_format_convert(struct soql_compiler *compiler, struct soql_term *term);

#endif
