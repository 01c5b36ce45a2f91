/*
 * What a command's end means to whoever started it: one table, from which help, the manual page and
 * docs/operations.md are printed. From 64 on the numbers are sysexits.h's.
 */
#ifndef PGFORCE_RUN_EXIT_CODE_H
#define PGFORCE_RUN_EXIT_CODE_H

#include <stdio.h>

#include "base/error.h"

enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_UNREACHABLE = 3,
    EXIT_CODE_GAP = 4,
    EXIT_CODE_DIFFERS = 5,
    EXIT_CODE_HELD = 6,
    EXIT_CODE_CHANGES = 10,
    EXIT_CODE_USAGE = 64,
    EXIT_CODE_DATA = 65,
    EXIT_CODE_BUG = 70,
    EXIT_CODE_RETRY = 75,
    EXIT_CODE_CONFIG = 78,
};

enum { EXIT_CODE_COUNT = 12 };

struct exit_code_row {
    enum exit_code code;
    const char *meaning;
    const char *remedy; /* what a supervisor should do */
};

extern const struct exit_code_row exit_code_rows[EXIT_CODE_COUNT];

enum exit_code exit_code_of(const struct error *err);

/* As a Markdown table, for docs/operations.md. */
void exit_code_print_markdown(FILE *out);

#endif
