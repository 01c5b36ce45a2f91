/*
 * Saving a record: the order of execution of insert, update and upsert (removal.h deletes).
 *
 * What is wrong with the record comes back in its errors; false means that storage itself failed.
 * Nothing of a refused record is written. Transactions are the caller's.
 */
#ifndef PGFORCE_SANDBOX_SAVE_H
#define PGFORCE_SANDBOX_SAVE_H

#include <jansson.h>

#include "base/error.h"
#include "sandbox/errors.h"
#include "sandbox/org.h"

struct save {
    struct org *org;
    struct arena *arena;
    const struct object *object;
    struct record_errors errors;
    const char *id; /* of the record saved, long form; NULL until known */
    bool is_created;
    bool is_missing;   /* update, delete: no such record at all */
    bool is_ambiguous; /* upsert: several records have the key */
};

void save_init(struct save *save, struct org *org, struct arena *arena,
               const struct object *object);

bool save_insert(struct save *save, const json_t *fields, struct error *err);
bool save_update(struct save *save, const char *id, const json_t *fields, struct error *err);

/* Loads the row an id names, or says in the save's errors why there is none. */
bool save_load(struct save *save, const char *id, struct store_row *row, struct error *err);

/* Whether the present user may see the row at all. */
bool save_is_shared(const struct save *save, const struct store_row *row);

/* By the value of an external id field; the value is put in when it inserts. */
bool save_upsert(struct save *save, const struct field *key, const char *value,
                 const json_t *fields, struct error *err);

/* The live record that has the value: save->id, is_missing or is_ambiguous. */
bool save_find(struct save *save, const struct field *key, const char *value, struct error *err);

#endif
