/*
 * Turns a stream in which transactions come in blocks while they are in progress into one of whole
 * transactions: what a sink gets is the same, and in the same order, as if nothing had been
 * streamed. Rows of an open transaction wait in an unlinked temporary file, one per transaction;
 * rows of a rolled-back one, or of a rolled-back subtransaction, are never seen by anybody.
 *
 * Memory is bounded whatever a transaction's size: rows are stored and read back as they came. Only
 * the places where subtransactions began are kept (16 bytes each). The files are in $TMPDIR, or
 * /var/tmp. A spool ends with its connection: the server sends again what was not confirmed.
 */
#ifndef PGFORCE_STREAM_SPOOL_H
#define PGFORCE_STREAM_SPOOL_H

#include "base/error.h"
#include "change/change.h"

struct spool;

struct spool *spool_new(void);
void spool_free(struct spool *spool);

/*
 * Stands where change_reader_next stood, with the same answers: the next event of a whole
 * transaction, or one outside any. StreamStart, StreamStop and StreamAbort never come out. A
 * Relation comes before the first row that needs it, also where the server announced it in a block
 * that waits; one that is withheld comes at once. The event stays valid until the next call of
 * this or of change_reader_feed. CHANGE_ERROR may also mean that the file cannot be written
 * (ERROR_RETRY).
 */
enum change_result spool_next(struct spool *spool, struct change_reader *reader,
                              struct event *event, struct error *err);

/* Transactions whose rows wait, and the bytes they take on disk: for those who look after it. */
struct spool_load {
    size_t transaction_count;
    uint64_t size_bytes;
};

struct spool_load spool_load(const struct spool *spool);

#endif
