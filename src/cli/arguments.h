/*
 * A command's options and what is left, read by the list of options it takes.
 *
 * Long options only, before, between or after the rest; --name=VALUE and --name VALUE are the same.
 * What the list lacks, or a value where none is taken, is ERROR_USAGE. Texts are the command
 * line's.
 */
#ifndef PGFORCE_CLI_ARGUMENTS_H
#define PGFORCE_CLI_ARGUMENTS_H

#include <stdbool.h>

#include "base/error.h"

enum { ARGUMENTS_MAX = 200 };

struct arguments_read {
    struct arguments_option {
        const char *name;
        const char *value; /* NULL for a flag */
    } options[ARGUMENTS_MAX];
    int option_count;
    const char *rest[ARGUMENTS_MAX];
    int rest_count;
};

/* known: names separated by blanks, with "=" behind those that take a value: "json field=". */
bool arguments_read(int count, char **texts, const char *known, struct arguments_read *read,
                    struct error *err);

/* The same, of a command that takes nothing but options. */
bool arguments_read_options(int count, char **texts, const char *known, struct arguments_read *read,
                            struct error *err);

bool arguments_has(const struct arguments_read *read, const char *name);

/* The i-th value given to an option; NULL when there are no more. */
const char *arguments_value(const struct arguments_read *read, const char *name, int i);

#endif
