/*
 * What went wrong, said once, in a shape that tells the caller what to do.
 *
 * A function that can fail answers bool and takes a struct error last. The kind is not the cause
 * but the remedy; the message is complete enough to be shown as it is, and names what the reader
 * can do. Only the top of a role, the command line and the API turn an error into a log line, an
 * exit code or an HTTP status. Out of memory is not an error here: it ends the process (see
 * arena.h).
 */
#ifndef PGFORCE_BASE_ERROR_H
#define PGFORCE_BASE_ERROR_H

#include <stdbool.h>

enum error_kind {
    ERROR_NONE,
    ERROR_RETRY,  /* the world is at fault: the same call may succeed later */
    ERROR_RECORD, /* this record is at fault: go on with the others */
    ERROR_CONFIG, /* the operator must act: repeating is useless */
    ERROR_BUG,    /* we are at fault: stop loudly */
    ERROR_USAGE,  /* the command line is wrong: only commands say this */
};

/* What a supervisor has to tell apart beyond the remedy: an exit code of its own. */
enum error_cause {
    ERROR_CAUSE_ANY,
    ERROR_CAUSE_UNREACHABLE, /* nobody answers where the database or the organisation should be */
    ERROR_CAUSE_GAP,         /* changes may be lost: going on is a decision */
    ERROR_CAUSE_HELD,        /* another process has what only one can have */
};

/* A message is cut, never overrun, at this many bytes, its end included. */
enum { ERROR_MESSAGE_BYTES = 2048 };

struct error {
    enum error_kind kind;
    enum error_cause cause;
    char message[ERROR_MESSAGE_BYTES];
};

/* Always answers false, so that a failing function can end with `return error_set(...)`. */
bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says so of an error that is set; answers false like error_set, which forgets it. */
bool error_because(struct error *err, enum error_cause cause);

/* Puts "what: " in front of the message; answers false like error_set. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of an errno: CONFIG, but RETRY where the system is short of something, for that may pass. */
enum error_kind error_kind_of(int number);

/* "retry", "record", "config" or "bug": for log lines. */
const char *error_kind_name(enum error_kind kind);

#endif
