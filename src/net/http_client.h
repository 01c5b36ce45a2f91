/*
 * HTTP out: sends requests in parallel over connections that are kept, and says of each what is
 * known about its fate.
 *
 * Promises: TLS (1.2 or later) is verified; redirects are never followed; no netrc and no proxy
 * from the environment; every wait ends; an answer is never larger than asked for; a request other
 * than GET and HEAD is never repeated by the library once a byte of it may have left. It knows
 * nothing of what it carries: status 500 is an answer like any other.
 */
#ifndef PGFORCE_NET_HTTP_CLIENT_H
#define PGFORCE_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct http_client;

/* Zero or NULL means the default named. */
struct http_client_options {
    const char *user_agent;     /* "pgforce/VERSION" */
    const char *ca_file;        /* of $SSL_CERT_FILE, else the system's */
    const char *proxy;          /* none */
    int connect_timeout_ms;     /* 10 s */
    int total_timeout_ms;       /* 120 s, for a whole exchange */
    int low_speed_timeout_s;    /* 60 s with nothing moving */
    int stop_grace_ms;          /* 0: what is in flight is cut when the process is told to stop */
    size_t max_response_bytes;  /* 64 MB, after decompression */
    size_t max_parallel;        /* 8 */
    bool is_plain_http_allowed; /* https only */
};

enum http_fate {
    HTTP_NOT_SENT, /* no byte of the request left: connection refused, name unknown, TLS failed */
    HTTP_ANSWERED, /* the whole answer was read */
    HTTP_UNKNOWN,  /* cut, timed out or too large after bytes had left */
};

struct http_exchange {
    /* Asked; owned by the caller. */
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL; or NULL */
    const void *body;
    size_t body_bytes;
    size_t gzip_over_bytes; /* a larger body is sent gzipped; 0 never */
    int total_timeout_ms;   /* 0: the client's */
    /* The other side keeps its answer until it has something to say: it may be silent all that
     * time, and is cut at once when the process is told to stop. Sent alone. */
    bool is_held;

    /* Answered; owned by the exchange, freed by http_exchange_done. */
    bool is_over; /* it has its fate */
    enum http_fate fate;
    long status;                 /* 0 unless a status line was read */
    struct buf received_headers; /* lines as they came */
    struct buf received;         /* the body, decompressed */
    char problem[256];           /* why, unless HTTP_ANSWERED; never holds a header or a body */
};

/* NULL, with ERROR_CONFIG, when libcurl has no TLS or ca_file cannot be read. The options' texts
 * are copied. */
struct http_client *http_client_new(const struct http_client_options *options, struct error *err);
void http_client_free(struct http_client *client);

/*
 * Runs all exchanges, at most max_parallel at a time, and answers when every one has its fate.
 * False only when the process was told to stop or the library failed: even then each has its fate.
 */
bool http_send(struct http_client *client, struct http_exchange *exchanges, size_t count,
               struct error *err);

/*
 * The same for requests that do not wait for each other. It is on its way as soon as fewer than
 * max_parallel are; until is_over it stays where it is, and its body with it. url and headers are
 * copied.
 */
void http_begin(struct http_client *client, struct http_exchange *exchange);

/*
 * Goes on with all that was begun, until one more of them is over, bytes have moved, the descriptor
 * (-1: none) is ready for these events of poll's, or the time is up. False when some were cut or
 * will not start, because the process was told to stop or the library failed: they are over.
 */
bool http_go_on(struct http_client *client, int fd, short events, int timeout_ms,
                struct error *err);

/* The value of a header of the answer, whatever its case; NULL when absent. Into out, cut never:
 * a value that does not fit out->max_bytes is absent. */
const char *http_header(const struct http_exchange *exchange, const char *name, struct buf *out);

/* Frees the answer; the exchange can be sent again. Accepts a zeroed one. */
void http_exchange_done(struct http_exchange *exchange);

/* Appends text with everything but letters, digits and "-._~" percent-encoded. */
void http_url_encode(struct buf *out, const char *text);

/* Whether the host of an http or https URL is this machine: localhost, 127.0.0.0/8 or ::1. */
bool http_url_is_loopback(const char *url);

#endif
