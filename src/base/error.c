#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;

    err->kind = kind;
    err->cause = ERROR_CAUSE_ANY;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return false;
}

bool error_because(struct error *err, enum error_cause cause)
{
    err->cause = cause;
    return false;
}

bool error_prefix(struct error *err, const char *format, ...)
{
    char rest[ERROR_MESSAGE_BYTES];
    va_list args;

    memcpy(rest, err->message, sizeof(rest));
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(err->message))
        snprintf(err->message + used, sizeof(err->message) - (size_t)used, ": %s", rest);
    return false;
}

enum error_kind error_kind_of(int number)
{
    switch (number) {
    case EINTR:
    case EAGAIN:
    case EIO:
    case ENOMEM:
    case ENOBUFS:
    case ENFILE:
    case EMFILE:
    case EADDRINUSE:
    case ENOSPC:
    case EDQUOT: return ERROR_RETRY;
    default: return ERROR_CONFIG;
    }
}

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[] = {
        [ERROR_NONE] = "none",     [ERROR_RETRY] = "retry", [ERROR_RECORD] = "record",
        [ERROR_CONFIG] = "config", [ERROR_BUG] = "bug",     [ERROR_USAGE] = "usage",
    };

    return names[kind];
}
