/*
 * A plausible organisation from a number: accounts with contacts, opportunities, cases and leads.
 *
 * The same seed and counts make the same records to the byte, times included (they lie in 2024 and
 * 2025), whatever the day. Rows go straight into the tables, in one transaction, untold by events;
 * they keep every rule of the definitions. How many of each come of a count of accounts alone is in
 * seed_complete.
 */
#ifndef PGFORCE_SANDBOX_SEED_H
#define PGFORCE_SANDBOX_SEED_H

#include "sandbox/org.h"

enum { SEED_MAX_ROWS = 10000000 };

/* Counts that were not said (negative) in proportion to the accounts; 0 when nothing was. */
void seed_complete(struct org_seed *seed);

bool seed_run(struct org *org, const struct org_seed *seed, struct error *err);

#endif
