/*
 * A position in PostgreSQL's write-ahead log: 64 bits, written as two hexadecimal halves,
 * "16/B374D848". 0 is no position (PostgreSQL's InvalidXLogRecPtr).
 */
#ifndef PGFORCE_BASE_LSN_H
#define PGFORCE_BASE_LSN_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t lsn_t;

/* The longest text is "FFFFFFFF/FFFFFFFF". */
struct lsn_text {
    char text[18];
};

struct lsn_text lsn_format(lsn_t lsn);

/* Strict: the whole text must be a position. */
bool lsn_parse(const char *text, lsn_t *lsn);

#endif
