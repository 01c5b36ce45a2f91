/*
 * A change, as every part of pgforce sees it: the joined view of proto/change.proto.
 *
 * On the wire a row refers to a relation by id and to its transaction by standing after Begin.
 * Readers get events whose transaction, relation and ordinal are already joined. The reader takes
 * bytes as they come (a CopyData message, a piece of a file) and refuses, by an error and never by
 * a crash, what is not a Batch. It knows nothing of PostgreSQL connections, files or JSON.
 */
#ifndef PGFORCE_CHANGE_CHANGE_H
#define PGFORCE_CHANGE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/lsn.h"

enum value_kind {
    VALUE_ABSENT, /* not part of what the server logged */
    VALUE_NULL,
    VALUE_UNCHANGED, /* a TOASTed value that the update did not touch */
    VALUE_OMITTED,   /* too large to send; size_bytes says how large */
    VALUE_TEXT,      /* the type's own text output */
};

/* Native forms of the wire are rendered to text by the reader: there is one form here. */
struct value {
    enum value_kind kind;
    const char *text;  /* VALUE_TEXT only; not zero-terminated */
    size_t size_bytes; /* of text, or of what was omitted */
};

struct column {
    const char *name;
    const char *type; /* as format_type() names it, without its modifier */
    uint32_t type_oid;
    int32_t type_modifier;
    bool is_key;
};

struct relation {
    uint32_t id;
    const char *schema;
    const char *table;
    struct column *columns;
    size_t column_count;
    uint64_t fingerprint;  /* of all the rest: the same for the same definition */
    char replica_identity; /* 'd', 'n', 'f' or 'i' */
    bool is_withheld;
};

struct transaction {
    uint32_t xid;
    int64_t commit_time_us; /* since 1970-01-01 UTC */
    lsn_t commit_lsn;
    lsn_t end_lsn;
    const char *origin;          /* "" for local changes */
    const char *source_position; /* "" but for changes read from Salesforce */
};

enum event_kind {
    EVENT_BEGIN,
    EVENT_RELATION,
    EVENT_ROW,
    EVENT_TRUNCATE,
    EVENT_MESSAGE,
    EVENT_COMMIT,
    EVENT_GAP,
    EVENT_STREAM_START,
    EVENT_STREAM_STOP,
    EVENT_STREAM_ABORT,
};

enum row_op { ROW_INSERT, ROW_UPDATE, ROW_DELETE };

struct row {
    enum row_op op;
    const struct relation *relation;
    const struct value *new_values; /* relation->column_count of them, or NULL */
    const struct value *old_values; /* likewise */
};

struct truncate {
    const struct relation **relations;
    size_t relation_count;
    bool cascade;
    bool restart_identity;
};

struct message {
    bool is_transactional;
    const char *prefix;
    const char *content;
    size_t content_bytes;
    lsn_t lsn;
};

struct gap {
    lsn_t from_lsn;
    lsn_t to_lsn;
    const char *reason;
};

struct stream_block {
    uint32_t xid;
    uint32_t subxid; /* EVENT_STREAM_ABORT only */
    bool is_first;   /* EVENT_STREAM_START only */
};

struct event {
    enum event_kind kind;
    /* Of the open transaction; NULL outside one, and inside a streamed block (no commit yet). */
    const struct transaction *transaction;
    uint32_t seq;    /* rows, truncates and messages of the transaction, from 1; 0 in a block */
    uint32_t subxid; /* inside streamed blocks */
    /* The event as it came, a Batch of one, for those that store it; NULL if no reader made it. */
    const char *wire;
    size_t wire_bytes;
    union {
        const struct relation *relation;
        struct row row;
        struct truncate truncate;
        struct message message;
        struct gap gap;
        struct stream_block block;
    };
};

struct change_reader;

struct change_reader *change_reader_new(void);
void change_reader_free(struct change_reader *reader);

/*
 * Gives the reader more bytes of the stream. It copies them, so they may end anywhere. What is left
 * of earlier bytes comes first. More than 1 GB at once is refused (ERROR_RECORD), so a file is fed
 * in pieces.
 */
bool change_reader_feed(struct change_reader *reader, const void *data, size_t size_bytes,
                        struct error *err);

enum change_result {
    CHANGE_EVENT, /* *event is filled */
    CHANGE_NEED,  /* feed more */
    CHANGE_ERROR, /* not a Batch: *err says at which byte and why (ERROR_BUG) */
};

/*
 * The next whole event. It and all it points to stay valid until the next call of
 * change_reader_next or change_reader_feed, but for relations and transactions, which stay until
 * replaced.
 */
enum change_result change_reader_next(struct change_reader *reader, struct event *event,
                                      struct error *err);

/* Bytes of a torn event that wait for their rest: not 0 at the end of a file means it was cut. */
size_t change_reader_pending_bytes(const struct change_reader *reader);

/* Finds a column by name; -1 if there is none. */
int relation_column(const struct relation *relation, const char *name);

/* Appends an event to buf in wire form, for the sinks that store it and for the inbound side. */
void change_pack(struct buf *buf, const struct event *event);

#endif
