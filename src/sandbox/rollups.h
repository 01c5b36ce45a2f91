/*
 * Roll-up summary fields: a count, sum, least or greatest of a record's details, kept in a column
 * of the master.
 *
 * Triggers in the database keep it, so it is right whatever changed the details: a save, a delete
 * and what it cascades to, an undelete, a merge, a move to another master, generated rows. A new
 * value moves the master's SystemModstamp, as every automated change does (Salesforce, "System
 * Fields"; whether a recalculation always does so is not documented, so the fault door can have it
 * not do so). LastModifiedDate stays: no user changed the master. A change event of the master
 * tells the new value.
 */
#ifndef PGFORCE_SANDBOX_ROLLUPS_H
#define PGFORCE_SANDBOX_ROLLUPS_H

#include "sandbox/org.h"

/* Finds the details of every roll-up not bound yet. False (ERROR_CONFIG): take back what was
 * defined. */
bool rollups_bind(struct org *org, struct error *err);

/* Computes those not started yet, once they have columns, and keeps them from then on. */
bool rollups_start(struct org *org, struct error *err);

#endif
