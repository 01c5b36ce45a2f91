/*
 * The command line of `pgforce tail`, one row per option in a table from which its help is printed.
 *
 * Letters are pg_recvlogical's where the meaning is the same. Whatever is wrong with the command
 * line is ERROR_USAGE.
 */
#ifndef PGFORCE_CLI_TAIL_OPTIONS_H
#define PGFORCE_CLI_TAIL_OPTIONS_H

#include <stdio.h>

#include "base/error.h"
#include "tail/tail.h"

struct tail_arguments {
    struct tail_options options;
    const char *path;    /* -f; "-" is standard output */
    bool is_help_wanted; /* and nothing else */
    bool has_end;        /* of the stream */
};

/* argv[0] is the command's name. Freed by tail_options_done, whatever the answer. */
bool tail_options_read(struct tail_arguments *arguments, int argc, char **argv, struct error *err);
void tail_options_done(struct tail_arguments *arguments);

/* The file is opened, and what depends on it is settled: colour, and whether it can take bytes. */
bool tail_options_open_output(struct tail_arguments *arguments, struct error *err);

void tail_options_print_help(FILE *out);

#endif
