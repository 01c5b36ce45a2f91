/*
 * What can be switched on top of a record's own rules: errors for chosen rows (locks, failing
 * triggers), duplicate rules, validation rules on and off. The fault door sets it (door_rules.c).
 */
#ifndef PGFORCE_SANDBOX_RULES_H
#define PGFORCE_SANDBOX_RULES_H

#include "sandbox/call.h"
#include "sandbox/draft.h"

enum { RULES_VERSION_BYTES = 8 };

struct rules {
    json_t *row_faults;      /* {"object", "id" or "field" and "value", "times", "code", ...} */
    json_t *duplicate_rules; /* {"object", "fields", "allow_save", "message"} */
    bool skips_validation;   /* validation rules are off */
    bool keeps_stamps;       /* a roll-up's new value does not move its master's stamp */
    bool allows_duplicates;  /* the present call said allowSave=true */
    char version[RULES_VERSION_BYTES]; /* of the present call: "v60.0" */
};

struct rules *rules_new(void);
void rules_free(struct rules *rules);
void rules_forget(struct rules *rules);

/* NULL, or what is wrong with it. */
const char *rules_add_row_fault(struct rules *rules, const json_t *fault);

/* An error prepared for this row is added; values NULL: it is to be deleted. */
void rules_check_row(struct save *save, const struct value *values);

/* Sforce-Duplicate-Rule-Header of the call that begins. */
void rules_read_header(const struct call *call);

#endif
