/*
 * Starts the roles as children and keeps them running.
 *
 * A child is our own binary with the role's name as subcommand. One that ends is started again
 * after a delay that doubles up to a minute while it keeps failing, with jitter; one that exits 78
 * (configuration) is parked, because trying again is useless until an operator has acted. The
 * children hold one end of a pipe and stop when the supervisor dies.
 */
#ifndef PGFORCE_RUN_SUPERVISOR_H
#define PGFORCE_RUN_SUPERVISOR_H

#include <stddef.h>

#include "base/error.h"

/*
 * Runs until SIGTERM or SIGINT, then stops the children and waits for them. ERROR_CONFIG when every
 * role has been parked.
 */
bool supervisor_run(const char *const *roles, size_t count, struct error *err);

#endif
