/*
 * The output plugin: what the server calls, in the order of a session's life.
 *
 * Invariants:
 * 1. It only reads. Nothing a client can pass or a table can hold makes it fail, but for options
 *    that are wrong.
 * 2. Begin goes out with a transaction's first event; a transaction without events sends nothing.
 *    So does StreamStart with a block's, and what of a transaction in progress nothing was sent
 *    needs no Commit and no StreamAbort.
 * 3. No callback returns with a finished transaction or block, or a non-transactional message,
 *    unsent.
 * 4. A Relation goes out before the first row or truncate that refers to it, and again before the
 *    first one after it changed.
 *
 * A transaction in progress is streamed, if the option asks for that, when the server runs out of
 * room for it. Prepared ones are sent at COMMIT PREPARED: the callbacks for earlier are left out,
 * and so the server does not offer it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlogdefs.h"
#include "batch.h"
#include "catalog/pg_class.h"
#include "change.pb-c.h"
#include "compat.h"
#include "encode.h"
#include "fmgr.h"
#include "options.h"
#include "replication/origin.h"
#include "replication/walsender.h"
#include "tables.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wire.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

/* Without output for so long, the server is asked to send a keepalive. */
enum { CHANGES_TO_PROGRESS = 100 };

struct session {
    struct options options;
    struct encoder encoder;
    struct batch batch;
    struct tables *tables;
    List *excluded;        /* of origin id */
    MemoryContext scratch; /* reset by every callback */
    bool is_in_block;      /* of a transaction in progress */
    bool is_begin_sent;    /* or the block's StreamStart */
    int silent_changes;
    int guc_level;              /* 0: the settings are the session's own */
    compat_origin_id origin_id; /* the last one looked up, and its name */
    char *origin_name;
};

/* A value's text must not depend on how the session, the role or the database is set up. */
static void pin_settings(struct session *session)
{
    static const char *const settings[][2] = {
        {"datestyle", "ISO, YMD"},     {"intervalstyle", "postgres"}, {"timezone", "UTC"},
        {"extra_float_digits", "1"},   {"bytea_output", "hex"},       {"xmlbinary", "base64"},
        {"search_path", "pg_catalog"},
    };
    GucAction action = GUC_ACTION_SET;

    if (IsTransactionState()) { /* a SQL function: what its caller set comes back at shutdown */
        session->guc_level = NewGUCNestLevel();
        action = GUC_ACTION_SAVE;
    }
    for (size_t i = 0; i < lengthof(settings); i++)
        set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION, action, true,
                          0, false);
}

static void resolve_origins(struct session *session)
{
    bool is_own_transaction = !IsTransactionState();
    MemoryContext context = CurrentMemoryContext;
    ListCell *cell;

    if (session->options.exclude_origins == NIL)
        return;
    if (is_own_transaction)
        StartTransactionCommand();
    foreach (cell, session->options.exclude_origins) {
        const char *name = lfirst(cell);
        compat_origin_id id = replorigin_by_name(name, true);

        if (id == COMPAT_ORIGIN_NONE)
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                            errmsg("option \"exclude_origins\" of output plugin pgforce names "
                                   "replication origin \"%s\", which does not exist",
                                   name)));
        MemoryContext before = MemoryContextSwitchTo(context);
        session->excluded = lappend_int(session->excluded, id);
        MemoryContextSwitchTo(before);
    }
    if (is_own_transaction)
        CommitTransactionCommand();
    MemoryContextSwitchTo(context);
}

static void startup_cb(LogicalDecodingContext *ctx, OutputPluginOptions *settings, bool is_init)
{
    MemoryContext before = MemoryContextSwitchTo(ctx->context);
    struct session *session = palloc0(sizeof(*session));

    settings->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
    ctx->output_plugin_private = session;
    session->scratch =
        AllocSetContextCreate(ctx->context, "pgforce scratch", ALLOCSET_DEFAULT_SIZES);
    options_read(&session->options, ctx->output_plugin_options);
    encoder_init(&session->encoder, session->options.max_value_bytes, session->options.native);
    batch_init(&session->batch, ctx);
    session->tables = tables_new(&session->options, &session->encoder);
    ctx->streaming = ctx->streaming && session->options.streaming;
    if (!is_init) { /* a slot that is only being made sends nothing */
        pin_settings(session);
        resolve_origins(session);
    }
    MemoryContextSwitchTo(before);
}

static void shutdown_cb(LogicalDecodingContext *ctx)
{
    struct session *session = ctx->output_plugin_private;

    if (session != NULL && session->guc_level > 0 && IsTransactionState())
        AtEOXact_GUC(true, session->guc_level);
}

static bool filter_by_origin_cb(LogicalDecodingContext *ctx, compat_origin_id origin)
{
    struct session *session = ctx->output_plugin_private;

    return list_member_int(session->excluded, origin);
}

/* An origin that was dropped since has no name any more, but is still not local. */
static const char *origin_name(struct session *session, compat_origin_id id)
{
    char *name = NULL;

    if (id == COMPAT_ORIGIN_NONE)
        return "";
    if (session->origin_name != NULL && session->origin_id == id)
        return session->origin_name;
    if (id == COMPAT_ORIGIN_UNNAMED || !replorigin_by_oid(id, true, &name))
        name = psprintf("#%u", id);
    if (session->origin_name != NULL)
        pfree(session->origin_name);
    session->origin_name = MemoryContextStrdup(GetMemoryChunkContext(session), name);
    session->origin_id = id;
    return session->origin_name;
}

static int64 unix_time_us(TimestampTz time)
{
    return time + (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/* Begin and Commit: all fields but source_position; those that are 0 or empty are not written. */
static void send_boundary(struct session *session, enum event_field field, ReorderBufferTXN *txn)
{
    const char *origin = encoder_text(&session->encoder, origin_name(session, txn->origin_id));
    Size origin_bytes = strlen(origin);
    int64 time = unix_time_us(compat_commit_time(txn));
    uint64 fixed[] = {(uint64)time, txn->final_lsn, txn->end_lsn};
    char *body = palloc(3 * 9 + 2 * (1 + WIRE_VARINT_BYTES) + origin_bytes);
    char *at = body;

    *at++ = WIRE_TAG_VARINT(1);
    at = wire_varint(at, txn->xid);
    for (size_t i = 0; i < lengthof(fixed); i++) {
        if (fixed[i] == 0)
            continue;
        *at++ = (char)WIRE_TAG_FIXED64(2 + i);
        at = wire_fixed64(at, fixed[i]);
    }
    if (origin_bytes > 0) {
        *at++ = WIRE_TAG_BYTES(5);
        at = wire_varint(at, origin_bytes);
        memcpy(at, origin, origin_bytes);
        at += origin_bytes;
    }
    batch_add(&session->batch, field, body, (Size)(at - body));
}

/* What the server keeps for us with a transaction: whether some of it was sent while in progress.
 */
static bool is_streamed(const ReorderBufferTXN *txn)
{
    return txn->output_plugin_private != NULL;
}

static void send_stream_start(struct session *session, ReorderBufferTXN *txn)
{
    char body[1 + WIRE_VARINT_BYTES + 2];
    char *at = body;

    *at++ = WIRE_TAG_VARINT(1);
    at = wire_varint(at, txn->xid);
    if (!is_streamed(txn)) {
        *at++ = WIRE_TAG_VARINT(2);
        *at++ = 1;
    }
    txn->output_plugin_private = session;
    batch_add(&session->batch, FIELD_STREAM_START, body, (Size)(at - body));
}

static void send_begin(struct session *session, ReorderBufferTXN *txn)
{
    if (session->is_begin_sent)
        return;
    if (session->is_in_block)
        send_stream_start(session, txn);
    else
        send_boundary(session, FIELD_BEGIN, txn);
    session->is_begin_sent = true;
}

static void begin_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
    struct session *session = ctx->output_plugin_private;

    (void)txn;
    session->is_begin_sent = false;
    session->silent_changes = 0;
}

static void commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
    struct session *session = ctx->output_plugin_private;
    MemoryContext before = MemoryContextSwitchTo(session->scratch);

    (void)commit_lsn;
    compat_update_progress(ctx, !session->is_begin_sent);
    if (session->is_begin_sent) {
        send_boundary(session, FIELD_COMMIT, txn);
        batch_flush(&session->batch);
    }
    session->is_begin_sent = false;
    MemoryContextSwitchTo(before);
    MemoryContextReset(session->scratch);
}

static void stream_start_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
    struct session *session = ctx->output_plugin_private;

    (void)txn;
    session->is_in_block = true;
    session->is_begin_sent = false;
}

/* Also called when the server finds that the transaction was rolled back, in the middle of a row.
 */
static void stream_stop_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
    struct session *session = ctx->output_plugin_private;

    (void)txn;
    if (session->is_begin_sent) {
        batch_add(&session->batch, FIELD_STREAM_STOP, "", 0);
        batch_flush(&session->batch);
    }
    session->is_in_block = false;
    session->is_begin_sent = false;
}

/* The whole transaction, or one of its subtransactions. */
static void stream_abort_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
    struct session *session = ctx->output_plugin_private;
    const ReorderBufferTXN *whole = txn->toptxn != NULL ? txn->toptxn : txn;
    char body[2 * (1 + WIRE_VARINT_BYTES)];
    char *at = body;

    (void)lsn;
    if (!is_streamed(whole))
        return;
    *at++ = WIRE_TAG_VARINT(1);
    at = wire_varint(at, whole->xid);
    *at++ = WIRE_TAG_VARINT(2);
    at = wire_varint(at, txn->xid);
    batch_add(&session->batch, FIELD_STREAM_ABORT, body, (Size)(at - body));
    batch_flush(&session->batch);
}

static void stream_commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
                             XLogRecPtr commit_lsn)
{
    struct session *session = ctx->output_plugin_private;

    session->is_begin_sent = is_streamed(txn);
    commit_cb(ctx, txn, commit_lsn);
}

/* A long run of changes that are not sent must not look like a dead connection. */
static void note_silence(LogicalDecodingContext *ctx)
{
    struct session *session = ctx->output_plugin_private;

    if (++session->silent_changes < CHANGES_TO_PROGRESS)
        return;
    session->silent_changes = 0;
    compat_update_progress(ctx, false);
}

/* In a block, the subtransaction that a change may be rolled back with. */
static TransactionId subxid_of(const struct session *session, const ReorderBufferTXN *txn,
                               const ReorderBufferTXN *own)
{
    return session->is_in_block && own != NULL && own->xid != txn->xid ? own->xid
                                                                       : InvalidTransactionId;
}

/* Tells the client of the table if it does not know it yet. */
static void announce(struct session *session, ReorderBufferTXN *txn, struct table *table)
{
    if (table->is_told)
        return;
    send_begin(session, txn);
    batch_add(&session->batch, FIELD_RELATION, table->relation, table->relation_bytes);
    table_announced(session->tables, table);
}

/* Whether the options let this kind of change through, and what it is. */
static bool describe_change(struct session *session, const ReorderBufferChange *change,
                            struct row_change *row)
{
    row->new_tuple = compat_tuple(change->data.tp.newtuple);
    row->old_tuple = compat_tuple(change->data.tp.oldtuple);
    switch (change->action) {
    case REORDER_BUFFER_CHANGE_INSERT:
        row->op = ROW_INSERT;
        row->old_tuple = NULL;
        return row->new_tuple != NULL && (session->options.actions & ACTION_INSERT) != 0;
    case REORDER_BUFFER_CHANGE_UPDATE:
        row->op = ROW_UPDATE;
        return row->new_tuple != NULL && (session->options.actions & ACTION_UPDATE) != 0;
    case REORDER_BUFFER_CHANGE_DELETE:
        row->op = ROW_DELETE;
        row->new_tuple = NULL;
        return (session->options.actions & ACTION_DELETE) != 0;
    default: return false;
    }
}

static bool send_row(struct session *session, ReorderBufferTXN *txn, Relation relation,
                     const ReorderBufferChange *change)
{
    struct row_change row = {.descriptor = RelationGetDescr(relation)};

    if (!describe_change(session, change, &row))
        return false;

    struct route route = tables_route(session->tables, relation);
    if (!route.shown->is_taken)
        return false;
    announce(session, txn, route.shown);
    if (route.shown->is_withheld)
        return false;
    row.relation = route.shown->id;
    row.is_old_whole = route.is_old_whole;
    row.subxid = subxid_of(session, txn, change->txn);
    encoder_write_row(&session->encoder, &row, route.columns, route.shown->column_count);
    send_begin(session, txn);
    batch_add(&session->batch, FIELD_ROW, session->encoder.row.data, session->encoder.row.len);
    return true;
}

static void change_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
                      ReorderBufferChange *change)
{
    struct session *session = ctx->output_plugin_private;
    MemoryContext before = MemoryContextSwitchTo(session->scratch);

    if (send_row(session, txn, relation, change))
        session->silent_changes = 0;
    else
        note_silence(ctx);
    MemoryContextSwitchTo(before);
    MemoryContextReset(session->scratch);
}

static void send_truncate(struct session *session, ReorderBufferTXN *txn, uint32_t *ids,
                          size_t count, const ReorderBufferChange *change)
{
    Pgforce__V1__Truncate message = PGFORCE__V1__TRUNCATE__INIT;

    message.relations = ids;
    message.n_relations = count;
    message.cascade = change->data.truncate.cascade;
    message.restart_identity = change->data.truncate.restart_seqs;
    message.subxid = subxid_of(session, txn, change->txn);
    size_t size_bytes = pgforce__v1__truncate__get_packed_size(&message);
    char *body = palloc(size_bytes);
    pgforce__v1__truncate__pack(&message, (uint8_t *)body);
    send_begin(session, txn);
    batch_add(&session->batch, FIELD_TRUNCATE, body, size_bytes);
}

/*
 * Under the ancestor's name a partition is truncated only where the ancestor is, which is in the
 * list then. One that is truncated alone comes under its own name: it is not the whole.
 */
static bool is_truncated_with_root(const struct table *table, int count, Relation relations[])
{
    for (int i = 0; i < count && OidIsValid(table->root); i++)
        if (RelationGetRelid(relations[i]) == table->root)
            return true;
    return false;
}

static void truncate_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int count,
                        Relation relations[], ReorderBufferChange *change)
{
    struct session *session = ctx->output_plugin_private;
    MemoryContext before = MemoryContextSwitchTo(session->scratch);
    uint32_t *ids = palloc(sizeof(*ids) * count);
    size_t taken = 0;

    for (int i = 0; i < count && (session->options.actions & ACTION_TRUNCATE) != 0; i++) {
        struct table *table = tables_get(session->tables, relations[i]);

        if (!table->is_taken || is_truncated_with_root(table, count, relations))
            continue;
        announce(session, txn, table);
        if (!table->is_withheld)
            ids[taken++] = table->id;
    }
    if (taken > 0)
        send_truncate(session, txn, ids, taken, change);
    else
        note_silence(ctx);
    MemoryContextSwitchTo(before);
    MemoryContextReset(session->scratch);
}

/* What one message of ours cannot hold is not passed over in silence. */
static void send_message_gap(struct session *session, XLogRecPtr lsn)
{
    Pgforce__V1__Gap gap = PGFORCE__V1__GAP__INIT;
    char body[128];

    gap.from_lsn = lsn;
    gap.to_lsn = lsn;
    gap.reason = (char *)"a logical message of over 1,000,000,000 bytes";
    batch_add(&session->batch, FIELD_GAP, body, pgforce__v1__gap__pack(&gap, (uint8_t *)body));
}

static void send_message(struct session *session, Pgforce__V1__Message *message)
{
    size_t size_bytes = pgforce__v1__message__get_packed_size(message);
    char *body = palloc(size_bytes);

    pgforce__v1__message__pack(message, (uint8_t *)body);
    batch_add(&session->batch, FIELD_MESSAGE, body, size_bytes);
}

static bool has_message(ReorderBufferTXN *txn, XLogRecPtr lsn)
{
    dlist_iter iter;

    if (dlist_is_empty(&txn->changes) ||
        dlist_tail_element(ReorderBufferChange, node, &txn->changes)->lsn < lsn)
        return false;
    dlist_foreach(iter, &txn->changes)
    {
        const ReorderBufferChange *change = dlist_container(ReorderBufferChange, node, iter.cur);

        if (change->lsn >= lsn)
            return change->lsn == lsn && change->action == REORDER_BUFFER_CHANGE_MESSAGE;
    }
    return false;
}

/* The server does not say which subtransaction a message belongs to, so it is looked for. */
static TransactionId message_subxid(const struct session *session, ReorderBufferTXN *txn,
                                    XLogRecPtr lsn)
{
    dlist_iter iter;

    if (!session->is_in_block)
        return InvalidTransactionId;
    dlist_foreach(iter, &txn->subtxns)
    {
        ReorderBufferTXN *own = dlist_container(ReorderBufferTXN, node, iter.cur);

        if (has_message(own, lsn))
            return own->xid;
    }
    return InvalidTransactionId;
}

static void message_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
                       bool is_transactional, const char *prefix, Size size_bytes,
                       const char *content)
{
    struct session *session = ctx->output_plugin_private;
    MemoryContext before = MemoryContextSwitchTo(session->scratch);
    Pgforce__V1__Message message = PGFORCE__V1__MESSAGE__INIT;

    if ((session->options.actions & ACTION_MESSAGE) != 0) {
        message.transactional = is_transactional;
        message.prefix = encoder_text(&session->encoder, prefix);
        message.content.data = (uint8_t *)content;
        message.content.len = size_bytes;
        message.lsn = lsn;
        if (is_transactional) {
            message.subxid = message_subxid(session, txn, lsn);
            send_begin(session, txn);
        }
        if (size_bytes > 1000000000)
            send_message_gap(session, lsn);
        else
            send_message(session, &message);
        if (!is_transactional)
            batch_flush(&session->batch);
    }
    MemoryContextSwitchTo(before);
    MemoryContextReset(session->scratch);
}

void _PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
    callbacks->startup_cb = startup_cb;
    callbacks->begin_cb = begin_cb;
    callbacks->change_cb = change_cb;
    callbacks->truncate_cb = truncate_cb;
    callbacks->message_cb = message_cb;
    callbacks->commit_cb = commit_cb;
    callbacks->filter_by_origin_cb = filter_by_origin_cb;
    callbacks->shutdown_cb = shutdown_cb;
    callbacks->stream_start_cb = stream_start_cb;
    callbacks->stream_stop_cb = stream_stop_cb;
    callbacks->stream_abort_cb = stream_abort_cb;
    callbacks->stream_commit_cb = stream_commit_cb;
    callbacks->stream_change_cb = change_cb;
    callbacks->stream_message_cb = message_cb;
    callbacks->stream_truncate_cb = truncate_cb;
}
