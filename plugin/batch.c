#include "batch.h"

#include "replication/output_plugin.h"
#include "wire.h"

enum {
    /* The walsender puts 25 bytes in front of ours. */
    BATCH_BYTES = 16000 - 25,
    KEPT_BYTES = 1 << 20, /* a larger buffer is given back */
};

void batch_init(struct batch *batch, struct LogicalDecodingContext *ctx)
{
    batch->ctx = ctx;
    initStringInfo(&batch->bytes);
}

void batch_flush(struct batch *batch)
{
    if (batch->bytes.len == 0)
        return;
    OutputPluginPrepareWrite(batch->ctx, true);
    appendBinaryStringInfo(batch->ctx->out, batch->bytes.data, batch->bytes.len);
    OutputPluginWrite(batch->ctx, true);
    wire_clear(&batch->bytes, KEPT_BYTES);
}

void batch_add(struct batch *batch, enum event_field field, const char *body, Size size_bytes)
{
    Size event_bytes = 1 + wire_varint_bytes(size_bytes) + size_bytes;
    Size whole_bytes = 1 + wire_varint_bytes(event_bytes) + event_bytes;

    if (batch->bytes.len + whole_bytes > BATCH_BYTES)
        batch_flush(batch);
    enlargeStringInfo(&batch->bytes, (int)whole_bytes);

    char *at = batch->bytes.data + batch->bytes.len;
    *at++ = WIRE_TAG_BYTES(1); /* Batch.events */
    at = wire_varint(at, event_bytes);
    *at++ = (char)WIRE_TAG_BYTES(field);
    at = wire_varint(at, size_bytes);
    memcpy(at, body, size_bytes);
    batch->bytes.len += (int)whole_bytes;
}
