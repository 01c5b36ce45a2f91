/*
 * What a command's end means to whoever started it. The numbers are sysexits.h's.
 *
 *     0   done
 *     10  a plan that has something to do
 *     64  usage: the command line is wrong
 *     65  the data given is wrong
 *     70  a bug of ours
 *     75  failed for now: the same command may succeed later
 *     78  configuration: an operator must act; a supervisor must not start it again blindly
 */
#ifndef PGFORCE_RUN_EXIT_CODE_H
#define PGFORCE_RUN_EXIT_CODE_H

#include "base/error.h"

enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_CHANGES = 10,
    EXIT_CODE_USAGE = 64,
    EXIT_CODE_DATA = 65,
    EXIT_CODE_BUG = 70,
    EXIT_CODE_RETRY = 75,
    EXIT_CODE_CONFIG = 78,
};

static inline enum exit_code exit_code_of(enum error_kind kind)
{
    static const enum exit_code codes[] = {
        [ERROR_NONE] = EXIT_CODE_DONE,   [ERROR_RETRY] = EXIT_CODE_RETRY,
        [ERROR_RECORD] = EXIT_CODE_DATA, [ERROR_CONFIG] = EXIT_CODE_CONFIG,
        [ERROR_BUG] = EXIT_CODE_BUG,     [ERROR_USAGE] = EXIT_CODE_USAGE,
    };

    return codes[kind];
}

#endif
