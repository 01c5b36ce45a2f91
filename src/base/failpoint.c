#include "base/failpoint.h"

#ifdef PGFORCE_FAILPOINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Not thread-safe, and need not be: the points stand where only a role's one thread comes. */
void failpoint_reach(bool is_reached, const char *name)
{
    static long hits;
    const char *wanted = getenv("FAILPOINT");
    size_t length = strlen(name);

    if (!is_reached || wanted == NULL || strncmp(wanted, name, length) != 0 ||
        wanted[length] != ':')
        return;
    if (++hits == strtol(wanted + length + 1, NULL, 10))
        raise(SIGKILL);
}

#endif
