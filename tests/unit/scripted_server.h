/*
 * A server that plays a script: for each request it reads, the next answer, byte for byte. Runs in
 * a child process on a port of its own; what it received can be read once it is stopped.
 */
#ifndef PGFORCE_TESTS_SCRIPTED_SERVER_H
#define PGFORCE_TESTS_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRIPT_REQUEST_BYTES = 256 * 1024, SCRIPT_PATIENCE_S = 60 };

struct scripted_answer {
    const char *bytes;     /* NULL: the connection is closed without an answer */
    bool closes;           /* after the answer */
    bool stops_the_client; /* sends it SIGTERM and never answers */
    bool stays_silent;     /* never answers */
};

struct scripted_server {
    pid_t pid;
    int listener;
    int port;
    FILE *journal;
    char url[64];
    char received[SCRIPT_REQUEST_BYTES];
    size_t received_bytes;
};

static inline size_t script_body_bytes(const char *head)
{
    const char *length = strcasestr(head, "\r\nContent-Length:");

    return length != NULL ? strtoul(length + 17, NULL, 10) : 0;
}

/* Reads one whole request; 0 when the client has closed. */
static inline size_t script_read(int conn, char *request)
{
    size_t used = 0;
    const char *end;

    do {
        ssize_t got = read(conn, request + used, SCRIPT_REQUEST_BYTES - 1 - used);
        if (got <= 0)
            return 0;
        used += (size_t)got;
        request[used] = '\0';
        end = strstr(request, "\r\n\r\n");
    } while (end == NULL || used < (size_t)(end + 4 - request) + script_body_bytes(request));
    return used;
}

static inline bool script_play(int conn, const struct scripted_answer *answer)
{
    if (answer->stops_the_client)
        kill(getppid(), SIGTERM);
    if (answer->stops_the_client || answer->stays_silent)
        for (;;)
            pause();
    if (answer->bytes == NULL)
        return false;
    size_t size_bytes = strlen(answer->bytes);
    return write(conn, answer->bytes, size_bytes) == (ssize_t)size_bytes && !answer->closes;
}

static inline void script_run(int listener, FILE *journal, const struct scripted_answer *answers,
                              size_t count)
{
    static char request[SCRIPT_REQUEST_BYTES];
    size_t played = 0;

    alarm(SCRIPT_PATIENCE_S);
    signal(SIGPIPE, SIG_IGN);
    while (played < count) {
        int conn = accept(listener, NULL, NULL);
        bool is_open = conn >= 0;

        while (is_open && played < count) {
            size_t size_bytes = script_read(conn, request);
            if (size_bytes == 0)
                break;
            fwrite(request, 1, size_bytes, journal);
            fflush(journal);
            is_open = script_play(conn, &answers[played++]);
        }
        close(conn);
    }
}

/* Takes a port, so that answers can name it; server_play then plays them. */
static inline struct scripted_server *server_bind(void)
{
    struct scripted_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size_bytes = sizeof(address);

    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    server->journal = tmpfile();
    if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, 16) != 0 || server->journal == NULL)
        abort();
    getsockname(server->listener, (struct sockaddr *)&address, &size_bytes);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d", server->port);
    return server;
}

static inline void server_play(struct scripted_server *server,
                               const struct scripted_answer *answers, size_t count)
{
    server->pid = fork();
    if (server->pid == 0) {
        script_run(server->listener, server->journal, answers, count);
        _exit(0);
    }
    close(server->listener);
}

static inline struct scripted_server *server_start(const struct scripted_answer *answers,
                                                   size_t count)
{
    struct scripted_server *server = server_bind();

    server_play(server, answers, count);
    return server;
}

/* Ends the server; what it received is in ->received from then on. */
static inline void server_stop(struct scripted_server *server)
{
    if (server->journal == NULL)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    rewind(server->journal);
    server->received_bytes = fread(server->received, 1, SCRIPT_REQUEST_BYTES - 1, server->journal);
    fclose(server->journal);
    server->journal = NULL;
}

static inline void server_free(struct scripted_server *server)
{
    server_stop(server);
    free(server);
}

static inline size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *found = text; (found = strstr(found, part)) != NULL; found++)
        count++;
    return count;
}

#define SCRIPT(answers) server_start((answers), sizeof(answers) / sizeof((answers)[0]))

#endif
