#include "cli/ask.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

bool ask_before(const char *what, bool is_confirmed, struct error *err)
{
    char answer[16] = "";

    if (is_confirmed)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return error_set(err, ERROR_USAGE, "%s: add --yes if that is what you want", what);
    fprintf(stderr, "%s. Go on? [y/N] ", what);
    if (fgets(answer, sizeof(answer), stdin) != NULL &&
        (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0))
        return true;
    return error_set(err, ERROR_USAGE, "not confirmed: nothing was changed");
}
