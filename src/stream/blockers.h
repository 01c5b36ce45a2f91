/*
 * For whom does the making of a slot wait? A new slot begins when every transaction that was open
 * has ended, and the server says nothing meanwhile: this says which ones, and since when.
 */
#ifndef PGFORCE_STREAM_BLOCKERS_H
#define PGFORCE_STREAM_BLOCKERS_H

#include "base/buf.h"
#include "pg/pg.h"

struct blockers {
    const char *url;
    int pid;       /* of the server's process that waits */
    struct pg *pg; /* opened at the first question */
    char told[1024];
};

/* context is a struct blockers. Logs who is waited for, once as long as it stays the same; what
 * cannot be found out is left unsaid. Fits struct pg_patience. */
void blockers_tell(void *context);
void blockers_done(struct blockers *blockers);

#endif
