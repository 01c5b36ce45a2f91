#include "base/libraries.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/arena.h"

static void *alloc_for_json(size_t size_bytes)
{
    return memory_or_die(malloc(size_bytes > 0 ? size_bytes : 1), size_bytes);
}

/* Of no bytes OpenSSL expects NULL. */
static void *alloc_for_crypto(size_t size_bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return size_bytes > 0 ? memory_or_die(malloc(size_bytes), size_bytes) : NULL;
}

static void free_for_crypto(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

static void *realloc_for_crypto(void *memory, size_t size_bytes, const char *file, int line)
{
    if (size_bytes > 0)
        return memory_realloc(memory, size_bytes);
    free_for_crypto(memory, file, line);
    return NULL;
}

void libraries_init(void)
{
    json_set_alloc_funcs(alloc_for_json, free);
    CRYPTO_set_mem_functions(alloc_for_crypto, realloc_for_crypto, free_for_crypto);
}
