/*
 * GET /_sandbox/: the fault door as a page for people, with its calls and the state of things.
 */
#ifndef PGFORCE_SANDBOX_DOOR_PAGE_H
#define PGFORCE_SANDBOX_DOOR_PAGE_H

#include "sandbox/call.h"

void door_page(struct call *call);

#endif
