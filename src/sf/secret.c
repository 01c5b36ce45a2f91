#include "sf/secret.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void sf_secret_wipe(const char *text)
{
    if (text == NULL)
        return;
    explicit_bzero((char *)(uintptr_t)text, strlen(text));
    free((char *)(uintptr_t)text);
}

void sf_secret_replace(const char **place, const char *text)
{
    const char *old = *place;

    *place = text != NULL && text[0] != '\0' ? memory_strdup(text) : NULL;
    sf_secret_wipe(old);
}

void sf_secret_wipe_json(json_t *json)
{
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value)
    {
        if (json_is_string(value))
            explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
    }
    json_decref(json);
}
