/*
 * The output plugin that sends nothing: what it costs is what logical decoding itself costs, the
 * floor under every other plugin.
 */
#include "postgres.h"

#include "fmgr.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static void startup_cb(LogicalDecodingContext *ctx, OutputPluginOptions *settings, bool is_init)
{
    (void)ctx;
    (void)is_init;
    settings->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
}

static void begin_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
    (void)ctx;
    (void)txn;
}

static void change_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
                      ReorderBufferChange *change)
{
    (void)ctx;
    (void)txn;
    (void)relation;
    (void)change;
}

static void commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
    (void)ctx;
    (void)txn;
    (void)commit_lsn;
}

void _PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
    callbacks->startup_cb = startup_cb;
    callbacks->begin_cb = begin_cb;
    callbacks->change_cb = change_cb;
    callbacks->commit_cb = commit_cb;
}
