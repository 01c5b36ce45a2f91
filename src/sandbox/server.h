/*
 * From HTTP to the organisation: turns a request into a call, lets the fault door at it, dispatches
 * it, and writes the journal.
 */
#ifndef PGFORCE_SANDBOX_SERVER_H
#define PGFORCE_SANDBOX_SERVER_H

#include "net/http_server.h"
#include "sandbox/org.h"

enum {
    SERVER_MAX_BODY_BYTES = 160 * 1024 * 1024,
    SERVER_MAX_ANSWER_BYTES = 512 * 1024 * 1024,
    SERVER_MAX_TARGET_BYTES = 16384,
};

/* http_server_options.handle; the context is the struct org. */
void server_handle(void *org, const struct http_server_request *request,
                   struct http_server_response *response);

/* http_server_options.work: the bulk jobs. */
bool server_work(void *org);

#endif
