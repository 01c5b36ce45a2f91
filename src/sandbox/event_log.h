/*
 * The replay store: every event of every channel, in order, for as long as Salesforce keeps them.
 *
 * Ids grow by one over all channels and go on after a restart. Change events are kept three days,
 * the others one, by the organisation's clock; at most EVENT_LOG_MAX are kept at all. Sources:
 * Change Data Capture Developer Guide, Streaming API Developer Guide, "Message Durability".
 */
#ifndef PGFORCE_SANDBOX_EVENT_LOG_H
#define PGFORCE_SANDBOX_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "sandbox/store.h"

enum { EVENT_LOG_MAX = 250000 };

struct event_log;

bool event_log_open(struct store *store, struct event_log **log, struct error *err);
void event_log_free(struct event_log *log);

/* After the store has been replaced: ids go on from what it holds, or from where they were. */
bool event_log_reload(struct event_log *log, struct error *err);

struct event {
    const char *channel; /* "/data/AccountChangeEvent" */
    const char *data;    /* members of the message's data, as JSON without braces */
    const char *extra;   /* members of data.event beside the replay id; "" for none */
    bool is_change;      /* on /data/ChangeEvents too */
};

bool event_log_append(struct event_log *log, const struct event *event, int64_t now_s,
                      struct error *err);

/* The id of the last event there ever was; 0 before the first. */
int64_t event_log_last(const struct event_log *log);

/* True when everything after the event n can still be told. */
bool event_log_reaches(struct event_log *log, int64_t n, int64_t now_s, struct error *err);

/* A place in a channel: the events after `after` are still to be told. */
struct event_cursor {
    const char *channel;
    int64_t after;
};

/* Appends the messages after the cursor, each followed by a comma, and moves it; stops after
 * max_count messages or when out grows beyond max_bytes. */
struct event_batch {
    struct buf *out;
    size_t max_bytes;
    int max_count;
    int count; /* so far */
};

bool event_log_read(struct event_log *log, struct event_cursor *cursor, struct event_batch *batch,
                    struct error *err);

/* Moves the cursor over events of other channels; true when one of its own follows. */
bool event_log_has_more(struct event_log *log, struct event_cursor *cursor);

/* A channel of one's own, like /data/Sales__chn, is told the events of the others that are its
 * members; without members it is no more. */
bool event_log_set_channel(struct event_log *log, const char *channel, const char *const *members,
                           size_t count, struct error *err);
bool event_log_has_channel(struct event_log *log, const char *channel);

/* Drops every event, as if their time were over. */
bool event_log_expire(struct event_log *log, struct error *err);

#endif
