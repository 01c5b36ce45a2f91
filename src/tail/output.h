/*
 * The bytes that go out, transaction by transaction: a buffer before a file descriptor.
 *
 * A transaction is written when it ends, or as it comes once it is larger than OUTPUT_SPARE_BYTES.
 * A reader that has gone (a closed pipe) is no error: all that follows is dropped. A regular file
 * never keeps half a transaction that could not be written to its end.
 */
#ifndef PGFORCE_TAIL_OUTPUT_H
#define PGFORCE_TAIL_OUTPUT_H

#include "base/buf.h"
#include "base/error.h"

enum { OUTPUT_SPARE_BYTES = 1 << 20 };

struct output;

/* fd stays the caller's. While nobody takes what is written, waiting is called about once a second;
 * it may be NULL. */
struct output *output_new(int fd, void (*waiting)(void *context), void *context);
void output_free(struct output *output);

/* Where the next bytes are to be appended. */
struct buf *output_buf(struct output *output);

/* Writes what there is when it has become much. */
bool output_spare(struct output *output, struct error *err);

/* Writes all that there is. */
bool output_end_transaction(struct output *output, struct error *err);

/* Makes a regular file's content survive the machine. */
bool output_synchronise(struct output *output, struct error *err);

/* Drops what has not been written, and takes what was written of an unfinished transaction out of a
 * regular file again. */
void output_discard(struct output *output);

/* Part of a transaction has been written, and not its end. */
bool output_is_in_transaction(const struct output *output);

/* The same, where output_discard cannot mend it. */
bool output_is_cut(const struct output *output);

/* A write found nobody who reads. */
bool output_is_closed(const struct output *output);

/* A write failed for any other reason. */
bool output_has_failed(const struct output *output);

/* Looks whether the reader has gone, without writing. */
bool output_is_reader_gone(struct output *output);

#endif
