#include "run/exit_code.h"

const struct exit_code_row exit_code_rows[EXIT_CODE_COUNT] = {
    {EXIT_CODE_DONE, "done, or stopped by SIGTERM", "nothing"},
    {EXIT_CODE_FAILED, "a check has found something wrong, and said what", "nothing"},
    {EXIT_CODE_UNREACHABLE, "nobody answers where the database or the organisation should be",
     "restart with delay"},
    {EXIT_CODE_GAP,
     "changes may be lost: the slot has gone, was moved or given up, or the database is an older"
     " copy; an operator must decide",
     "not restart"},
    {EXIT_CODE_DIFFERS, "a comparison has found differences, and changed nothing", "nothing"},
    {EXIT_CODE_HELD, "another process has the slot", "restart with delay"},
    {EXIT_CODE_CHANGES, "a plan has something to do", "nothing"},
    {EXIT_CODE_USAGE, "usage: the command line is wrong", "not restart"},
    {EXIT_CODE_DATA, "the data given is wrong", "not restart"},
    {EXIT_CODE_BUG, "a bug of ours: please report the line", "restart with delay"},
    {EXIT_CODE_RETRY,
     "failed for now: the database, the network or the organisation was away, or memory ran out",
     "restart with delay"},
    {EXIT_CODE_CONFIG, "configuration: an operator must act", "not restart"},
};

enum exit_code exit_code_of(const struct error *err)
{
    static const enum exit_code of_causes[] = {[ERROR_CAUSE_UNREACHABLE] = EXIT_CODE_UNREACHABLE,
                                               [ERROR_CAUSE_GAP] = EXIT_CODE_GAP,
                                               [ERROR_CAUSE_HELD] = EXIT_CODE_HELD};
    static const enum exit_code of_kinds[] = {
        [ERROR_NONE] = EXIT_CODE_DONE,   [ERROR_RETRY] = EXIT_CODE_RETRY,
        [ERROR_RECORD] = EXIT_CODE_DATA, [ERROR_CONFIG] = EXIT_CODE_CONFIG,
        [ERROR_BUG] = EXIT_CODE_BUG,     [ERROR_USAGE] = EXIT_CODE_USAGE,
    };

    return err->cause != ERROR_CAUSE_ANY ? of_causes[err->cause] : of_kinds[err->kind];
}

void exit_code_print_markdown(FILE *out)
{
    fputs("| code | meaning | what a supervisor should do |\n|---|---|---|\n", out);
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
        fprintf(out, "| %d | %s | %s |\n", exit_code_rows[i].code, exit_code_rows[i].meaning,
                exit_code_rows[i].remedy);
}
