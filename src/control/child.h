/*
 * Our own commands as children of the role serve: what talks to Salesforce, or takes long.
 *
 * A child is `pgforce VERB ... --json`, with the request's body as its standard input. The answer
 * is held back until it ends: its standard output is the body, its exit code the status, what it
 * wrote to standard error the message (beside what else a command that failed has printed). So the
 * API and the command line cannot differ. When the client goes away the child goes on.
 */
#ifndef PGFORCE_CONTROL_CHILD_H
#define PGFORCE_CONTROL_CHILD_H

#include "control/request.h"

struct child_pool *child_pool_new(struct error *err);

/* Children still running are told to stop. */
void child_pool_free(struct child_pool *pool);

/* Readable when a child has ended; then call child_pool_reap. */
int child_pool_fd(const struct child_pool *pool);
void child_pool_reap(struct child_pool *pool);

struct child_call {
    const char *const *arguments; /* after "pgforce"; ends with NULL */
    const char *input;            /* its standard input; NULL for none */
    size_t input_bytes;
    int status;     /* of the answer when it ends with 0 */
    bool is_empty;  /* then without a body */
    int other_code; /* an exit code that means done too; 0 for none */
    /* Answers instead, when it is done: as a handler does, with the request as it was. output is
     * what the command printed, NULL when that is no JSON. */
    void (*done)(struct request *request, json_t *output);
};

/* Answers later; at once with 503 when too many run already, or none can be started. */
void child_run(struct request *request, const struct child_call *call);

/*
 * One that nobody waits for: ended is called once, with what it printed where that is JSON (else
 * NULL). Not called when the pool is freed before. False when it cannot be started.
 */
bool child_spawn(struct child_pool *pool, const char *const *arguments,
                 void (*ended)(void *context, int exit_code, json_t *output), void *context);

#endif
