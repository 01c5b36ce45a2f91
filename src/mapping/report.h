/*
 * What is mapped, as JSON: what the command line prints and the HTTP API answers.
 *
 * Everything comes from the database alone, so that it works while the organisation does not.
 */
#ifndef PGFORCE_MAPPING_REPORT_H
#define PGFORCE_MAPPING_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/*
 * An array of all mappings, by object name; with object_name (in any case) just that one, which
 * must exist. The caller owns *out.
 */
bool report_mappings(struct pg *pg, const char *schema_name, const char *object_name, json_t **out,
                     struct error *err);

/* SQL, of the mapping `m`: writes that Salesforce turned away and that are tried again later, and
 * the words of the last; null when there are none. */
#define REPORT_WAITING_WRITES                                                                      \
    "(select jsonb_build_object('count', count(*), 'next_try_at', min(d.retry_at),"                \
    " 'message', (array_agg(d.message order by d.sent_at desc))[1])"                               \
    " from pgforce.delivery d"                                                                     \
    " where d.mapping_id = m.id and d.state = 'RETRY' and d.message is not null"                   \
    " having count(*) > 0)"

#endif
