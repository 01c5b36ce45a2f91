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
    const char *unasked;   /* follows when server_say_unasked() is called */
};

struct scripted_server {
    pid_t pid;
    int listener;
    int port;
    int doors[2]; /* the two ends of a socket pair: for server_say_unasked() */
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

/* A byte comes when it is to be said, and goes when it has been. */
static inline bool script_say_unasked(int conn, int door, const char *bytes)
{
    char byte;

    return read(door, &byte, 1) == 1 &&
           write(conn, bytes, strlen(bytes)) == (ssize_t)strlen(bytes) && write(door, "x", 1) == 1;
}

static inline bool script_play(int conn, int door, const struct scripted_answer *answer)
{
    if (answer->stops_the_client)
        kill(getppid(), SIGTERM);
    if (answer->stops_the_client || answer->stays_silent)
        for (;;)
            pause();
    if (answer->bytes == NULL)
        return false;
    size_t size_bytes = strlen(answer->bytes);
    return write(conn, answer->bytes, size_bytes) == (ssize_t)size_bytes && !answer->closes &&
           (answer->unasked == NULL || script_say_unasked(conn, door, answer->unasked));
}

static inline void script_run(const struct scripted_server *server,
                              const struct scripted_answer *answers, size_t count)
{
    static char request[SCRIPT_REQUEST_BYTES];
    size_t played = 0;

    alarm(SCRIPT_PATIENCE_S);
    signal(SIGPIPE, SIG_IGN);
    while (played < count) {
        int conn = accept(server->listener, NULL, NULL);
        bool is_open = conn >= 0;

        while (is_open && played < count) {
            size_t size_bytes = script_read(conn, request);
            if (size_bytes == 0)
                break;
            fwrite(request, 1, size_bytes, server->journal);
            fflush(server->journal);
            is_open = script_play(conn, server->doors[1], &answers[played++]);
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
        listen(server->listener, 16) != 0 || server->journal == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, server->doors) != 0)
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
        script_run(server, answers, count);
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

/* After an answer has been read: what follows it lies in the client's socket when this is over. */
static inline void server_say_unasked(struct scripted_server *server)
{
    char byte = 'x';

    if (write(server->doors[0], &byte, 1) != 1 || read(server->doors[0], &byte, 1) != 1)
        abort();
}

static inline void server_free(struct scripted_server *server)
{
    server_stop(server);
    close(server->doors[0]);
    close(server->doors[1]);
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
