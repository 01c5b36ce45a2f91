/*
 * HTTP in: a wrapper over libmicrohttpd that turns a request into one function call.
 *
 * The handler gets a whole request (headers, decoded parameters, body, already gunzipped) and fills
 * in a whole response; gzip on the way out, limits, chunked bodies and keep-alive are seen to here.
 * Everything runs in the caller's thread: http_server_run blocks in base/wait.h until the process
 * is told to stop, and handlers run one at a time, so they need no locks and must not block; long
 * work is cut into pieces that are done between requests.
 *
 * It knows no routes and no authentication.
 */
#ifndef PGFORCE_NET_HTTP_SERVER_H
#define PGFORCE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct http_server_pair {
    const char *name;
    const char *value;
};

struct http_server_request {
    const char *method;
    const char *target;                    /* as sent, percent-encoded, with its query */
    const char *path;                      /* the target without its query, still percent-encoded */
    const char *peer;                      /* the other side's address: "127.0.0.1", "::1" */
    const struct http_server_pair *params; /* of the query, decoded */
    size_t param_count;
    const struct http_server_pair *headers;
    size_t header_count;
    const char *body; /* ends with a zero byte that is not counted */
    size_t body_bytes;
    struct arena *arena; /* lives as long as the request and its response */
};

enum { HTTP_SERVER_MAX_HEADERS = 24 };

/* A piece of a file, sent without being read into memory whole. The server closes the descriptor;
 * it is not looked at when there is nothing to send. */
struct http_server_file {
    int fd;
    int64_t offset;
    int64_t size_bytes;
};

/* An answer that goes on behind its body, without a length: events, lines. */
struct http_server_flow {
    /* Appends what there is by now; asked again at once after something, after interval_ms after
     * nothing. False: that was the end. An answer without it has its length. */
    bool (*more)(void *context, struct buf *out);
    void (*end)(void *context); /* called once, however the answer ends; may be NULL */
    void *context;
    int interval_ms;
};

struct http_server_response {
    int status; /* 200 unless the handler says otherwise */
    struct http_server_pair headers[HTTP_SERVER_MAX_HEADERS];
    size_t header_count;
    struct buf body;
    struct http_server_file file; /* comes after the body */
    struct http_server_flow flow;
    int delay_ms;    /* hold the answer back so long; other requests go on */
    bool is_dropped; /* cut the connection instead of answering */
    /* Long polling: called once, when the delay is over or http_server_wake was called, to fill in
     * the answer; with a NULL response when the connection has gone before that. */
    void (*finish)(void *context, struct http_server_response *response);
    void *finish_context; /* its first argument: in the request's arena, or memory of its own */
};

struct http_server_options {
    const char *address;   /* "127.0.0.1:8080", "[::1]:8080", "localhost:0"; port 0: any free */
    bool is_loopback_only; /* refuse every other address */
    const char *tls_certificate; /* PEM, its chain behind it; NULL: plain HTTP */
    const char *tls_key;         /* PEM, its key, without a passphrase */
    int idle_timeout_s;          /* a connection silent for so long is closed; 0: never */
    int max_connections;         /* 0: as many as there are descriptors */
    size_t max_head_bytes;       /* of request line and headers; 0: 64 KiB */
    size_t max_body_bytes;       /* of a request, after decompression; more is answered 413 */
    size_t max_answer_bytes;     /* more is answered 500 */
    void (*handle)(void *context, const struct http_server_request *request,
                   struct http_server_response *response);
    /* Done between requests, a little at a time: true when there is more to do. May be NULL. */
    bool (*work)(void *context);
    /* Called when wake_fd is readable, between requests. May be NULL: then there is no wake_fd. */
    void (*wake)(void *context);
    int wake_fd;
    void *context; /* the first argument of handle, work and wake */
};

struct http_server;

/* Listens; requests are answered only while http_server_run runs. */
bool http_server_open(const struct http_server_options *options, struct http_server **server,
                      struct error *err);
void http_server_close(struct http_server *server);

/* Serves until the process is told to stop (base/wait.h, wait_init must have been called). */
bool http_server_run(struct http_server *server, struct error *err);

/* The port it listens on, also when the address asked for any free one. */
int http_server_port(const struct http_server *server);

/* Ends the delay of an answer that is held back: finish is called soon, not within this call. */
void http_server_wake(struct http_server_response *response);

/* The value of a header (case does not matter) or a query parameter; NULL when absent. */
const char *http_server_header(const struct http_server_request *request, const char *name);
const char *http_server_param(const struct http_server_request *request, const char *name);

/* name and value must live as long as the request: constants, or from its arena. */
void http_server_add_header(struct http_server_response *response, const char *name,
                            const char *value);

/* Percent-decoding; with plus_is_space a '+' is a blank. Bad escapes and %00 stay as they are. */
char *http_server_decode(struct arena *arena, const char *text, size_t size_bytes,
                         bool plus_is_space);

/* The parameters of a query string or of an application/x-www-form-urlencoded body, decoded. */
const struct http_server_pair *http_server_parse_form(struct arena *arena, const char *text,
                                                      size_t *count);

#endif
