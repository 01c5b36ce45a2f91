/*
 * libFuzzer: a mapping file, and a filter by itself. What is refused is refused with a reason; what
 * is accepted is whole, and its parts are JSON again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mapping/filter.h"
#include "mapping/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_json(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    check(json != NULL);
    json_decref(json);
}

static void check_entry(const struct import_entry *entry)
{
    struct error err = {0};

    check(entry->object_name != NULL && entry->polling_seconds > 0);
    for (size_t i = 0; i < entry->field_count; i++)
        check(entry->field_names[i] != NULL);
    for (size_t i = 0; i < entry->index_count; i++)
        check(entry->indexes[i].field_name != NULL);
    check(entry->filter == NULL || filter_check(entry->filter, &err));
    check_json(entry->config);
    check_json(entry->extra);
}

static void check_import(const struct import *import)
{
    check(import->app_name != NULL && import->organization_id != NULL);
    check(import->warnings.kept <= import->warnings.count);
    check_json(import->rest);
    if (import->features != NULL)
        check_json(import->features);
    for (size_t i = 0; i < import->entry_count; i++)
        check_entry(&import->entries[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena *arena = arena_new();
    struct import import = {0};
    struct error err = {0};

    if (import_parse((const char *)data, size_bytes, arena, &import, &err))
        check_import(&import);
    else
        check(err.kind == ERROR_CONFIG && err.message[0] != '\0');
    err = (struct error){0};
    if (!filter_check(arena_strndup(arena, (const char *)data, size_bytes), &err))
        check(err.kind == ERROR_CONFIG && err.message[0] != '\0');
    arena_free(arena);
    return 0;
}
