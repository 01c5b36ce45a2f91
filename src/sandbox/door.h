/*
 * /_sandbox/...: the door for tests and demos, which no Salesforce has. No session is asked for.
 *
 * Faults to come, the journal of what was received, the clock, the limits, the sessions, objects
 * at run time, and rows put in or read out without any of the rules.
 */
#ifndef PGFORCE_SANDBOX_DOOR_H
#define PGFORCE_SANDBOX_DOOR_H

#include "sandbox/call.h"

void door_journal(struct call *call);
void door_journal_clear(struct call *call);
void door_fault(struct call *call);
void door_faults(struct call *call);
void door_faults_clear(struct call *call);
void door_clock(struct call *call);
void door_clock_read(struct call *call);
void door_users(struct call *call);
void door_users_set(struct call *call);
void door_expire(struct call *call);
void door_expire_queries(struct call *call);
void door_objects(struct call *call);
void door_reset(struct call *call);
void door_rows_load(struct call *call);
void door_rows_insert(struct call *call);
void door_rows_records(struct call *call);
void door_rows_undelete(struct call *call);
void door_rows_purge(struct call *call);
void door_rows_empty_bin(struct call *call);

#endif
