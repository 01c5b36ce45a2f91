#include "outbound/trace.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "mapping/lost_create.h"

const char *trace_new(struct arena *arena)
{
    unsigned char bytes[LOST_CREATE_TRACE_CHARS / 2];
    char *text = arena_alloc(arena, LOST_CREATE_TRACE_CHARS + 1);

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}
