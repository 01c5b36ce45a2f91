#include "sandbox/cometd_clients.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

enum { MAX_SUBSCRIPTIONS = 200 };

struct cometd_clients {
    struct cometd_client *first;
    size_t count;
};

struct cometd_clients *cometd_clients_new(void)
{
    return memory_alloc(sizeof(struct cometd_clients));
}

static void free_subscription(struct cometd_subscription *subscription)
{
    free(subscription->channel);
    free(subscription);
}

static void free_client(struct cometd_client *client)
{
    while (client->subscriptions != NULL) {
        struct cometd_subscription *next = client->subscriptions->next;

        free_subscription(client->subscriptions);
        client->subscriptions = next;
    }
    free(client);
}

void cometd_clients_free(struct cometd_clients *clients)
{
    if (clients == NULL)
        return;
    while (clients->first != NULL)
        cometd_clients_remove(clients, clients->first);
    free(clients);
}

void cometd_clients_remove(struct cometd_clients *clients, struct cometd_client *client)
{
    struct cometd_client **link = &clients->first;

    while (*link != NULL && *link != client)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = client->next;
    clients->count--;
    free_client(client);
}

static void forget_lapsed(struct cometd_clients *clients)
{
    int64_t oldest_ms = clock_monotonic_ms() - COMETD_CLIENTS_LAPSE_MS;
    struct cometd_client *next = NULL;

    for (struct cometd_client *each = clients->first; each != NULL; each = next) {
        next = each->next;
        if (each->poll == NULL && each->heard_ms < oldest_ms)
            cometd_clients_remove(clients, each);
    }
}

struct cometd_client *cometd_clients_add(struct cometd_clients *clients)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[COMETD_CLIENTS_ID_BYTES] = {0};

    forget_lapsed(clients);
    if (clients->count == COMETD_CLIENTS_MAX)
        return NULL;
    if (RAND_bytes(random, sizeof(random)) != 1)
        abort();
    struct cometd_client *client = memory_alloc(sizeof(*client));
    for (size_t i = 0; i < sizeof(random); i++)
        client->id[i] = letters[random[i] % 32];
    client->heard_ms = clock_monotonic_ms();
    client->next = clients->first;
    clients->first = client;
    clients->count++;
    return client;
}

struct cometd_client *cometd_clients_find(struct cometd_clients *clients, const char *id)
{
    forget_lapsed(clients);
    for (struct cometd_client *each = clients->first; each != NULL; each = each->next)
        if (strcmp(each->id, id) == 0) {
            each->heard_ms = clock_monotonic_ms();
            return each;
        }
    return NULL;
}

struct cometd_client *cometd_clients_first(struct cometd_clients *clients)
{
    return clients->first;
}

/* ---- subscriptions ---- */

static struct cometd_subscription **find_subscription(struct cometd_client *client,
                                                      const char *channel, size_t *count)
{
    struct cometd_subscription **link = &client->subscriptions;

    *count = 0;
    while (*link != NULL && strcmp((*link)->channel, channel) != 0) {
        link = &(*link)->next;
        (*count)++;
    }
    return link;
}

bool cometd_clients_subscribe(struct cometd_client *client, const char *channel, int64_t after)
{
    size_t count = 0;
    struct cometd_subscription **link = find_subscription(client, channel, &count);

    if (*link == NULL && count == MAX_SUBSCRIPTIONS)
        return false;
    if (*link == NULL) {
        *link = memory_alloc(sizeof(**link));
        (*link)->channel = memory_strdup(channel);
        (*link)->cursor.channel = (*link)->channel;
    }
    (*link)->cursor.after = after;
    return true;
}

void cometd_clients_unsubscribe(struct cometd_client *client, const char *channel)
{
    size_t count = 0;
    struct cometd_subscription **link = find_subscription(client, channel, &count);
    struct cometd_subscription *found = *link;

    if (found == NULL)
        return;
    *link = found->next;
    free_subscription(found);
}

bool cometd_clients_has_news(struct cometd_client *client, struct event_log *log)
{
    for (struct cometd_subscription *each = client->subscriptions; each != NULL; each = each->next)
        if (event_log_has_more(log, &each->cursor))
            return true;
    return false;
}

bool cometd_clients_read(struct cometd_client *client, struct event_log *log,
                         struct event_batch *batch, struct error *err)
{
    for (struct cometd_subscription *each = client->subscriptions; each != NULL; each = each->next)
        if (!event_log_read(log, &each->cursor, batch, err))
            return false;
    return true;
}

void cometd_clients_rewind(struct cometd_clients *clients, int64_t count)
{
    for (struct cometd_client *client = clients->first; client != NULL; client = client->next)
        for (struct cometd_subscription *each = client->subscriptions; each != NULL;
             each = each->next)
            each->cursor.after = each->cursor.after > count ? each->cursor.after - count : 0;
}

json_t *cometd_clients_describe(struct cometd_clients *clients)
{
    json_t *list = json_array();

    for (struct cometd_client *client = clients->first; client != NULL; client = client->next) {
        json_t *channels = json_object();

        for (struct cometd_subscription *each = client->subscriptions; each != NULL;
             each = each->next)
            json_object_set_new(channels, each->channel, json_integer(each->cursor.after));
        json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "clientId", client->id, "waiting",
                                              client->poll != NULL, "channels", channels));
    }
    return list;
}
