/*
 * What of an inbound transaction is an echo, and what a user's own trigger changed inside it.
 *
 * Where a mapped table has triggers, pull writes under an origin of its own, which is decoded, and
 * says in messages beforehand what it is about to write (inbound/announce.h). A row that comes out
 * of the stream as it was announced is an echo. One that differs was changed by a trigger: the
 * fields that differ are the user's change, against what was announced. A row that was not
 * announced is wholly the user's. Messages of other transactions say nothing here.
 */
#ifndef PGFORCE_STREAM_ECHO_H
#define PGFORCE_STREAM_ECHO_H

#include "change/change.h"

/* The prefix of those messages. */
#define ECHO_PREFIX "pgforce.wrote"

struct echo;

struct echo *echo_new(const char *schema_name);
void echo_free(struct echo *echo);

/* Whether the transaction is of that origin. */
bool echo_is_from(const struct echo *echo, const struct transaction *transaction);

/* ["account", is deleted, {"sfid": "001...", "name": "Acme", ...}] */
void echo_note(struct echo *echo, const struct message *message);

enum echo_verdict {
    ECHO_ECHO,
    ECHO_FOREIGN, /* to be logged as it is */
    ECHO_CHANGED, /* *change is to be logged instead; valid until the transaction's end */
};

enum echo_verdict echo_judge(struct echo *echo, const struct event *event, struct event *change);

/* At the end of each such transaction: forgets what was announced. */
void echo_end(struct echo *echo);

#endif
