/*
 * Merging records: the losers are deleted and name the winner, what referred to them refers to it.
 *
 * Children change their parent without any rule being asked, as in Salesforce. The transaction is
 * the caller's.
 */
#ifndef PGFORCE_SANDBOX_MERGE_H
#define PGFORCE_SANDBOX_MERGE_H

#include "sandbox/save.h"

/* One loser into the record that `winner` is for; the errors go to it. */
bool merge_record(struct save *winner, const char *winner_id, const char *loser_id,
                  struct error *err);

#endif
