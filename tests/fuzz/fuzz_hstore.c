/*
 * libFuzzer: hstore's text. What is read is printed and read again: the same pairs, the same text.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_same(const struct hstore_pair *left, const struct hstore_pair *right)
{
    check(strcmp(left->key, right->key) == 0);
    check((left->value == NULL) == (right->value == NULL));
    if (left->value != NULL)
        check(left->value_bytes == right->value_bytes &&
              memcmp(left->value, right->value, left->value_bytes + 1) == 0);
}

static void print_and_read(const struct hstore_pair *pairs, size_t count, struct arena *arena)
{
    struct buf text BUF_AUTO = {0};
    struct hstore_pair *again = NULL;
    struct error err = {0};
    size_t again_count = 0;

    buf_init(&text, SIZE_MAX / 2);
    hstore_print(&text, pairs, count);
    check(hstore_parse(text.data, arena, &again, &again_count, &err));
    check(again_count == count);
    for (size_t i = 0; i < count; i++)
        check_same(&pairs[i], &again[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena *arena = arena_new();
    char *text = arena_strndup(arena, (const char *)data, size_bytes);
    struct hstore_pair *pairs = NULL;
    struct error err = {0};
    size_t count = 0;

    if (hstore_parse(text, arena, &pairs, &count, &err)) {
        print_and_read(pairs, count, arena);
        hstore_sort(pairs, count);
        print_and_read(pairs, count, arena);
    } else {
        check(err.kind == ERROR_RECORD && err.message[0] != '\0');
    }
    arena_free(arena);
    return 0;
}
