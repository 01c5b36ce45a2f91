/*
 * Who is connected by CometD, and how far each has been told what.
 *
 * A subscription is a place in the replay store: events are read when a client asks, never queued
 * for it. A client that is not heard of for 40 seconds, and is not waiting, is forgotten.
 */
#ifndef PGFORCE_SANDBOX_COMETD_CLIENTS_H
#define PGFORCE_SANDBOX_COMETD_CLIENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "sandbox/event_log.h"

enum { COMETD_CLIENTS_MAX = 2000, COMETD_CLIENTS_ID_BYTES = 28, COMETD_CLIENTS_LAPSE_MS = 40000 };

struct cometd_poll; /* cometd.c: a connect that is held */

struct cometd_subscription {
    char *channel;
    struct event_cursor cursor;
    struct cometd_subscription *next;
};

struct cometd_client {
    char id[COMETD_CLIENTS_ID_BYTES + 1];
    struct cometd_subscription *subscriptions;
    struct cometd_poll *poll; /* NULL: none is held */
    int64_t heard_ms;
    bool has_connected;
    struct cometd_client *next;
};

struct cometd_clients;

struct cometd_clients *cometd_clients_new(void);
void cometd_clients_free(struct cometd_clients *clients);

/* NULL when there are too many. */
struct cometd_client *cometd_clients_add(struct cometd_clients *clients);
struct cometd_client *cometd_clients_find(struct cometd_clients *clients, const char *id);
void cometd_clients_remove(struct cometd_clients *clients, struct cometd_client *client);
struct cometd_client *cometd_clients_first(struct cometd_clients *clients);

/* False when the client has too many. */
bool cometd_clients_subscribe(struct cometd_client *client, const char *channel, int64_t after);
void cometd_clients_unsubscribe(struct cometd_client *client, const char *channel);

bool cometd_clients_has_news(struct cometd_client *client, struct event_log *log);
bool cometd_clients_read(struct cometd_client *client, struct event_log *log,
                         struct event_batch *batch, struct error *err);

/* Each client is told its last `count` events again. */
void cometd_clients_rewind(struct cometd_clients *clients, int64_t count);

/* For the door: clients, channels and places, as JSON. */
json_t *cometd_clients_describe(struct cometd_clients *clients);

#endif
