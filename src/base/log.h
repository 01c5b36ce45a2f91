/*
 * One line per event on standard error, verb first, facts as key=value:
 *
 *     2026-11-21T10:20:30.000000Z INFO push: pushed mapping=Account rows=200 failed=1 ms=412
 *
 * or one JSON object per line when LOG_FORMAT_JSON is set. Secrets never, row values never.
 */
#ifndef PGFORCE_BASE_LOG_H
#define PGFORCE_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_fact {
    const char *key; /* NULL ends the list */
    const char *text;
    int64_t number;
};

static inline struct log_fact log_text(const char *key, const char *text)
{
    return (struct log_fact){.key = key, .text = text != NULL ? text : ""};
}

static inline struct log_fact log_number(const char *key, int64_t number)
{
    return (struct log_fact){.key = key, .number = number};
}

/* component is the role's name and must outlive the process's logging. */
void log_init(const char *component, enum log_level lowest, enum log_format format);

void log_write(enum log_level level, const char *verb, const struct log_fact *facts);

#define log_debug(verb, ...)                                                                       \
    log_write(LOG_DEBUG, (verb), (const struct log_fact[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_info(verb, ...)                                                                        \
    log_write(LOG_INFO, (verb), (const struct log_fact[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_warning(verb, ...)                                                                     \
    log_write(LOG_WARNING, (verb), (const struct log_fact[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_error(verb, ...)                                                                       \
    log_write(LOG_ERROR, (verb), (const struct log_fact[]){__VA_ARGS__ __VA_OPT__(, ){0}})

#endif
