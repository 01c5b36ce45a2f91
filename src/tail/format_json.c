#include "tail/format_json.h"

#include <string.h>

#include "change/change_json.h"

static const char truncate_head[] = "{\"op\":\"truncate\"";

static void print_line(struct buf *out, const struct event *event,
                       const struct format_options *options)
{
    struct change_json_options line = {.with_transactions = options->with_transactions};

    change_json_print(out, event, &line);
}

/* The line of one table begins with what every change begins with: op, schema, table. */
static void print_truncated(struct buf *out, const struct event *event, size_t index,
                            const struct format_options *options)
{
    const struct relation *relation = event->truncate.relations[index];
    struct event alone = *event;
    struct buf line BUF_AUTO = {0};

    alone.truncate.relations = &relation;
    alone.truncate.relation_count = 1;
    buf_init(&line, out->max_bytes);
    print_line(&line, &alone, options);
    buf_text(out, truncate_head);
    buf_text(out, ",\"schema\":");
    change_json_string(out, relation->schema, strlen(relation->schema));
    buf_text(out, ",\"table\":");
    change_json_string(out, relation->table, strlen(relation->table));
    buf_text(out, line.data + strlen(truncate_head));
}

void format_json_print(struct buf *out, const struct event *event,
                       const struct format_options *options)
{
    if (event->kind != EVENT_TRUNCATE) {
        print_line(out, event, options);
        return;
    }
    for (size_t i = 0; i < event->truncate.relation_count; i++)
        print_truncated(out, event, i, options);
}
