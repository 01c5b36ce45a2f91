/*
 * Asking before something is destroyed: on a terminal the user, elsewhere the option --yes.
 */
#ifndef PGFORCE_CLI_ASK_H
#define PGFORCE_CLI_ASK_H

#include <stdbool.h>

#include "base/error.h"

/* False with ERROR_USAGE unless it may be done. what is said to be about to happen. */
bool ask_before(const char *what, bool is_confirmed, struct error *err);

#endif
