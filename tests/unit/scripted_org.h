/*
 * An organisation that plays a script of answers: status, body, kind.
 */
#ifndef PGFORCE_TESTS_SCRIPTED_ORG_H
#define PGFORCE_TESTS_SCRIPTED_ORG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripted_server.h"
#include "sf/session.h"

#define ORG_ID  "00D000000000001EAA"
#define USER_ID "005000000000001AAA"

/* "@" in a body becomes the server's address. */
#define TOKEN(name)                                                                                \
    {                                                                                              \
        .status = 200, .body = "{\"access_token\":\"" name                                         \
                               "\",\"instance_url\":\"@\",\"id\":\"https://x/id/" ORG_ID           \
                               "/" USER_ID "\",\"token_type\":\"Bearer\"}"                         \
    }

#define EXPIRED                                                                                    \
    {                                                                                              \
        .status = 401, .body = "[{\"message\":\"Session expired or invalid\","                     \
                               "\"errorCode\":\"INVALID_SESSION_ID\"}]"                            \
    }

enum { ORG_ANSWERS = 24, ORG_ANSWER_BYTES = 16 * 1024 };

struct org_answer {
    int status;
    const char *body;
    const char *type; /* "application/json" when NULL */
    bool is_cut;      /* the last byte announced never comes */
};

static inline char *org_make_answer(const struct org_answer *answer, const char *url)
{
    static const char head[] = "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                               "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 7\r\n"
                               "Sforce-Limit-Info: api-usage=18/5000\r\nConnection: close\r\n\r\n";
    const char *type = answer->type != NULL ? answer->type : "application/json;charset=UTF-8";
    const char *place = strchr(answer->body, '@');
    size_t before = place != NULL ? (size_t)(place - answer->body) : strlen(answer->body);
    char *body = calloc(1, ORG_ANSWER_BYTES);
    char *text = calloc(1, ORG_ANSWER_BYTES);

    snprintf(body, ORG_ANSWER_BYTES / 2, "%.*s%s%s", (int)before, answer->body,
             place != NULL ? url : "", place != NULL ? place + 1 : "");
    int used = snprintf(text, ORG_ANSWER_BYTES / 2, head, answer->status, type,
                        strlen(body) + (answer->is_cut ? 1 : 0));
    strcpy(text + used, body);
    free(body);
    return text;
}

static inline struct scripted_server *org_start(const struct org_answer *answers, size_t count)
{
    struct scripted_answer script[ORG_ANSWERS];
    struct scripted_server *server = server_bind();

    for (size_t i = 0; i < count; i++)
        script[i] = (struct scripted_answer){.bytes = org_make_answer(&answers[i], server->url),
                                             .closes = true};
    server_play(server, script, count);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)script[i].bytes);
    return server;
}

#define ORG(answers) org_start((answers), sizeof(answers) / sizeof((answers)[0]))

/* Signs in with an id and a secret. */
static inline bool org_open(const struct scripted_server *server, struct sf_session **out,
                            struct error *err)
{
    return sf_session_open(&(struct sf_credentials){.login_url = server->url,
                                                    .client_id = "the-client",
                                                    .client_secret = "s3cret-canary"},
                           &(struct sf_session_options){.client_name = "mysync"}, out, err);
}

#endif
