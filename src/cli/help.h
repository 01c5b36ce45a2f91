/*
 * What the program says of itself, all of it from the tables of commands, verbs, variables and exit
 * codes: help, the manual page, completion for bash, and the command that was probably meant.
 */
#ifndef PGFORCE_CLI_HELP_H
#define PGFORCE_CLI_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct help_command {
    const char *name;
    const char *usage; /* what comes after the name; options in it begin with "--" */
    const char *help;
};

struct help_commands {
    const struct help_command *items;
    size_t count;
};

void help_print_all(FILE *out, struct help_commands commands);

/* The line that begins with "usage:". */
void help_print_usage(FILE *out, const char *name, const char *usage);

/* verbs: of this command; empty for most. */
void help_print_one(FILE *out, const struct help_command *command, struct help_commands verbs);

/* man(7) and bash, for `pgforce man-page` and `pgforce bash-completion`. mapping_verbs: of the one
 * command that has some. */
void help_print_man(FILE *out, struct help_commands commands, struct help_commands mapping_verbs);
void help_print_completion(FILE *out, struct help_commands commands,
                           struct help_commands mapping_verbs);

/* That there is no such command, and which was probably meant. */
void help_print_unknown(FILE *out, const char *name, struct help_commands commands);

/* The nearest name, for a slip of the finger or two; NULL when none is near. */
const char *help_nearest(const char *name, struct help_commands commands);

#endif
