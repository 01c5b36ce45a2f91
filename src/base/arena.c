#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t size_bytes;
    size_t used_bytes;
    _Alignas(ALIGNMENT) char data[];
};

struct arena {
    struct block *blocks; /* the first is the one being filled */
};

void *memory_or_die(void *memory, size_t size_bytes)
{
    if (memory != NULL)
        return memory;
    fprintf(stderr, "pgforce: out of memory (%zu bytes asked)\n", size_bytes);
    _exit(EX_TEMPFAIL);
}

void *memory_alloc(size_t size_bytes)
{
    return memory_or_die(calloc(1, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *memory_realloc(void *memory, size_t size_bytes)
{
    return memory_or_die(realloc(memory, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

char *memory_strdup(const char *text)
{
    return memory_or_die(strdup(text), strlen(text) + 1);
}

static struct block *add_block(struct arena *arena, size_t size_bytes)
{
    struct block *block = memory_or_die(malloc(sizeof(*block) + size_bytes), size_bytes);

    block->next = arena->blocks;
    block->size_bytes = size_bytes;
    block->used_bytes = 0;
    arena->blocks = block;
    return block;
}

struct arena *arena_new(void)
{
    struct arena *arena = memory_alloc(sizeof(*arena));

    add_block(arena, BLOCK_BYTES);
    return arena;
}

/* Frees every block but the oldest, which is always of the ordinary size. */
static void free_later_blocks(struct arena *arena)
{
    while (arena->blocks->next != NULL) {
        struct block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_later_blocks(arena);
    free(arena->blocks);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    free_later_blocks(arena);
    arena->blocks->used_bytes = 0;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - ALIGNMENT - sizeof(struct block))
        memory_or_die(NULL, size_bytes);

    size_t rounded = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *block = arena->blocks;

    if (block->size_bytes - block->used_bytes < rounded)
        block = add_block(arena, rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES);

    void *memory = block->data + block->used_bytes;
    block->used_bytes += rounded;
    return memset(memory, 0, rounded);
}

char *arena_strndup(struct arena *arena, const char *text, size_t size_bytes)
{
    char *copy = arena_alloc(arena, size_bytes + 1);

    memcpy(copy, text, size_bytes);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

size_t arena_size_bytes(const struct arena *arena)
{
    size_t total = 0;

    for (const struct block *block = arena->blocks; block != NULL; block = block->next)
        total += block->size_bytes;
    return total;
}
