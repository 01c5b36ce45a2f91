/*
 * Memory with one of two lifetimes: a role's run, or a unit of work.
 *
 * An arena hands out memory that is freed all at once, by a reset after each batch or request.
 * Nothing in it is freed alone, so nothing in it may own a foreign handle (PGresult, json_t, CURL).
 * When memory runs out the process ends with a message and exit code 75, as for all that may pass:
 * no caller checks for NULL.
 */
#ifndef PGFORCE_BASE_ARENA_H
#define PGFORCE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);

/* Makes all memory handed out so far invalid; keeps one block for the next unit of work. */
void arena_reset(struct arena *arena);

/* Zeroed and aligned for any type; valid until the next reset. */
void *arena_alloc(struct arena *arena, size_t size_bytes);

char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t size_bytes);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* How much the arena holds from the system, in bytes: for tests that bound memory. */
size_t arena_size_bytes(const struct arena *arena);

#define arena_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

/* malloc and friends for what outlives an arena; they end the process instead of answering NULL. */
void *memory_alloc(size_t size_bytes);
void *memory_realloc(void *memory, size_t size_bytes);
char *memory_strdup(const char *text);

/* The same of memory, or of a handle, that somebody else has made. */
void *memory_or_die(void *memory, size_t size_bytes);

#endif
