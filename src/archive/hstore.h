/*
 * hstore's text form, written and read: "key"=>"value", "other"=>NULL.
 *
 * The log's `old` and `values` are this text, and clients read it by casting to hstore, so ours
 * must be what hstore itself would print: keys sorted by length first, then by bytes
 * (contrib/hstore, comparePairs), a quote and a backslash escaped. Pure text: no server is asked.
 */
#ifndef PGFORCE_ARCHIVE_HSTORE_H
#define PGFORCE_ARCHIVE_HSTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct hstore_pair {
    const char *key;
    const char
        *value; /* NULL is NULL; not zero-terminated when written, zero-terminated when read */
    size_t value_bytes;
};

/* NULL when no pair has the key. */
const struct hstore_pair *hstore_find(const struct hstore_pair *pairs, size_t count,
                                      const char *key);

/* Sorts pairs in place into hstore's order. Keys must differ. */
void hstore_sort(struct hstore_pair *pairs, size_t count);

/* Appends the text of pairs in the order they stand. */
void hstore_print(struct buf *buf, const struct hstore_pair *pairs, size_t count);

/*
 * Reads text into pairs of the arena. Accepts what hstore prints and the looser forms it reads:
 * unquoted words, any white space, NULL in any case. Bad text is ERROR_RECORD and says where.
 */
bool hstore_parse(const char *text, struct arena *arena, struct hstore_pair **pairs, size_t *count,
                  struct error *err);

#endif
