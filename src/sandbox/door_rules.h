/*
 * /_sandbox/rules and its neighbours: the organisation's settings, rows that fail, duplicate rules,
 * merges.
 *
 *     POST /_sandbox/rules {"validation": false, "view_encrypted": false, "commit_lag_s": 30,
 *                           "page_rows": 50, "jwt_certificate": "-----BEGIN ...",
 *                           "hide": [{"object": "Account", "field": "Phone"}], "show": [...]}
 *     POST /_sandbox/row-faults {"id": "001...", "times": 2, "code": "UNABLE_TO_LOCK_ROW"}
 *     POST /_sandbox/duplicate-rules {"object": "Lead", "fields": ["Email"], "allow_save": true}
 *     POST /_sandbox/merge {"winner": "001...", "losers": ["001..."]}
 */
#ifndef PGFORCE_SANDBOX_DOOR_RULES_H
#define PGFORCE_SANDBOX_DOOR_RULES_H

#include "sandbox/call.h"

void door_rules_read(struct call *call);
void door_rules_set(struct call *call);
void door_rules_row_faults(struct call *call);
void door_rules_add_row_fault(struct call *call);
void door_rules_clear_row_faults(struct call *call);
void door_rules_add_duplicates(struct call *call);
void door_rules_clear_duplicates(struct call *call);
void door_rules_merge(struct call *call);

#endif
