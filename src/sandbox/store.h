/*
 * The organisation's rows: one SQLite table per object, one column per stored field.
 *
 * Text columns compare without regard to case, ids and datetimes by their bytes. Deleted rows stay,
 * with IsDeleted = 1, until they are purged. Statements are kept prepared by their text. A failure
 * here is a full disk or our own mistake, never the data's.
 */
#ifndef PGFORCE_SANDBOX_STORE_H
#define PGFORCE_SANDBOX_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "sandbox/schema.h"

enum value_kind { VALUE_NULL, VALUE_TEXT, VALUE_INTEGER, VALUE_REAL };

struct value {
    enum value_kind kind;
    const char *text;
    int64_t integer;
    double real;
};

struct store;

/* path NULL: in memory. */
bool store_open(const char *path, struct store **store, struct error *err);
void store_close(struct store *store);
sqlite3 *store_database(struct store *store);

/* A statement ready to be bound; the store keeps it. At most one use of the same text at a time. */
bool store_prepare(struct store *store, const char *sql, sqlite3_stmt **statement,
                   struct error *err);
void store_bind(sqlite3_stmt *statement, int index, const struct value *value);
bool store_step(struct store *store, sqlite3_stmt *statement, bool *has_row, struct error *err);

/* Calls visit for each row of a statement without parameters, until it answers false. */
bool store_each(struct store *store, const char *sql,
                bool (*visit)(void *context, sqlite3_stmt *row, struct error *err), void *context,
                struct error *err);
struct value store_column(struct arena *arena, sqlite3_stmt *statement, int index);

/* Runs SQL without parameters to its end. */
bool store_run(struct store *store, const char *sql, struct error *err);

/* Runs one statement with the values, to its end. */
bool store_change(struct store *store, const char *sql, const struct value *values, size_t count,
                  struct error *err);

/* Nested units of work: released keeps, rolled back undoes. */
bool store_begin(struct store *store, struct error *err);
bool store_commit(struct store *store, struct error *err);
bool store_rollback(struct store *store, struct error *err);

/* Makes or widens the table of an object. */
bool store_make_table(struct store *store, const struct object *object, struct error *err);

/* The next number of an object's ids (kept in the file). */
bool store_next_number(struct store *store, const struct object *object, int64_t *number,
                       struct error *err);

/* The next `count` of them, at least one: from *first on. */
bool store_take_numbers(struct store *store, const struct object *object, int64_t count,
                        int64_t *first, struct error *err);

/* A whole row: values are by field index, those of fields that are not stored are null. */
struct store_row {
    const struct object *object;
    const char *id;
    struct value *values; /* NULL when there is no such row */
};

/* The row's values come from the arena. */
bool store_load(struct store *store, struct arena *arena, struct store_row *row, struct error *err);
bool store_insert(struct store *store, const struct store_row *row, struct error *err);
bool store_update(struct store *store, const struct store_row *row, struct error *err);

/* Live rows of an object whose field has a value; more than two are as good as two. */
struct store_search {
    const struct object *object;
    const struct field *field;
    struct value value;
    const char *ids[2];
    size_t count;
};

bool store_find(struct store *store, struct arena *arena, struct store_search *search,
                struct error *err);

static inline struct value value_text(const char *text)
{
    if (text == NULL)
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .text = text};
}

static inline struct value value_integer(int64_t integer)
{
    return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}

static inline struct value value_real(double real)
{
    return (struct value){.kind = VALUE_REAL, .real = real};
}

#endif
