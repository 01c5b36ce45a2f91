/*
 * The role `watch`: looks every few seconds at what an operator must know at once, keeps the stored
 * notifications in agreement with it, and tells of each, once when it begins and once when it is
 * over.
 *
 * What it looks at are the doctor's rules that have an event type (checks.h). A cause counts when
 * it was seen in two rounds: a role that is being restarted is none. Where that is wanted, it also
 * gives the slot up before the WAL that it retains fills the server's disk; that is the only thing
 * it ever changes besides its notifications.
 */
#ifndef PGFORCE_CONTROL_WATCH_H
#define PGFORCE_CONTROL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "control/checks.h"

struct watch_options {
    const char *database_url;
    const char *schema_name;
    const char *app_role;
    struct checks_limits limits;
    int64_t give_up_bytes; /* 0: never */
    const char *notify_url;
    const char *notify_command;
};

bool watch_run(const struct watch_options *options, struct error *err);

#endif
