#include "tail/format_protobuf.h"

void format_protobuf_print(struct buf *out, const struct event *event,
                           const struct format_options *options)
{
    (void)options;
    change_pack(out, event);
}
