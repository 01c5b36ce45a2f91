/*
 * One request on its way through libcurl: how it is set up, guarded and told the fate of.
 *
 * For http_client.c and http_stream.c alone, which run it: the one until the whole answer is there,
 * the other piece by piece.
 */
#ifndef PGFORCE_NET_HTTP_TRANSFER_H
#define PGFORCE_NET_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/http_client.h"
#include "net/http_sockets.h"

struct http_client {
    CURLM *multi;
    CURLM *streams; /* those read piece by piece: they go on when they are read, not meanwhile */
    struct http_sockets *sockets;
    struct http_client_options options;
    char *user_agent;
    char *ca_file;
    char *proxy;
    struct http_transfer *begun; /* in this order: on their way, or to be */
    size_t active;               /* on their way */
    int64_t cut_at_ms;           /* 0 until told to stop */
};

struct http_transfer {
    struct http_exchange *exchange;
    struct http_transfer *next; /* of those that were begun */
    CURL *easy;
    CURLM *multi; /* NULL: not on its way yet */
    /* Who takes the body as it comes, answering CURL_WRITEFUNC_PAUSE for not yet; NULL: it is
     * gathered in exchange->received. */
    size_t (*take)(void *taker, const char *data, size_t size_bytes);
    void *taker;
    struct curl_slist *headers;
    unsigned char *gzipped;
    size_t gzipped_bytes;
    size_t body_bytes;            /* as it is sent */
    curl_off_t bytes_before;      /* sent before the request itself: the CONNECT to a proxy */
    bool has_begun;               /* connected, about to send the request */
    struct http_sockets *sockets; /* the client's */
    bool was_unclean;             /* its connection: the request was not sent (http_sockets.h) */
    bool is_too_large;
    char why[CURL_ERROR_SIZE];
};

/* Empties what the exchange was answered before. */
void http_transfer_prepare(const struct http_client *client, struct http_exchange *exchange);

/* Of its exchange url and headers are copied. */
void http_transfer_set_up(const struct http_client *client, struct http_transfer *transfer);

void http_transfer_start(struct http_transfer *transfer, CURLM *multi);

/* One that has ended before it left, for its connection was unclean, goes by another. False: it has
 * ended otherwise. */
bool http_transfer_start_anew(struct http_transfer *transfer);

/* Says in the exchange what became of it. */
void http_transfer_conclude(struct http_transfer *transfer, CURLcode code);

/* Of libcurl as a whole, not of one transfer. */
bool http_transfer_refuse(CURLMcode code, struct error *err);

/* Frees what the transfer holds, its exchange aside; cuts it when it is still on its way. */
void http_transfer_finish(struct http_transfer *transfer);

#endif
