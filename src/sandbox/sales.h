/*
 * What the standard objects of selling work out for themselves beyond one field following another:
 * names and prices of price book entries and opportunity products, the sums of an opportunity's
 * products, members of a campaign, the times of an event.
 */
#ifndef PGFORCE_SANDBOX_SALES_H
#define PGFORCE_SANDBOX_SALES_H

#include "sandbox/draft.h"

/* Before validation: sets what follows, adds to the save's errors. False: storage failed. */
bool sales_complete(struct draft *draft, struct error *err);

/* Has the store keep Amount, TotalOpportunityQuantity and HasOpportunityLineItem, whatever happens
 * to the products. */
bool sales_start(struct org *org, struct error *err);

#endif
