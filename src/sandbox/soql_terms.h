/*
 * Functions in a statement: what MAX(Amount) or CALENDAR_YEAR(CreatedDate) is in SQL, and of which
 * type its value is.
 *
 * The organisation's year begins in January, its users live in UTC. Source: SOQL and SOSL
 * Reference, "Aggregate Functions" and "Date Functions".
 */
#ifndef PGFORCE_SANDBOX_SOQL_TERMS_H
#define PGFORCE_SANDBOX_SOQL_TERMS_H

#include "sandbox/soql_names.h"

struct soql_term {
    const char *sql;
    const struct field *field;  /* of the value's type; never NULL */
    const struct field *source; /* the field it is made from */
    struct soql_join *join;     /* where that is */
    bool is_aggregate;
    bool keeps_type;  /* its value is shown as the field's */
    bool is_computed; /* its SQL is not the field's column alone */
};

bool soql_terms_is_aggregate(const char *function);

/* function NULL is the field itself; so is toLabel. FORMAT gives text, convertCurrency the amount
 * in the corporate currency (soql_format.h). */
bool soql_terms_resolve(struct soql_compiler *compiler, const struct soql_path *path,
                        const char *function, struct soql_term *term);

#endif
