#include "sandbox/follows.h"

#include <string.h>
#include <strings.h>

struct pair {
    const char *value;
    const char *answer; /* NULL for null */
};

struct follows {
    const char *field;
    struct pair *pairs;
    size_t count;
    bool has_otherwise;
    const char *otherwise;
};

static const char *read_text(struct arena *arena, const json_t *json)
{
    if (json_is_string(json))
        return arena_strdup(arena, json_string_value(json));
    if (json_is_boolean(json))
        return json_is_true(json) ? "true" : "false";
    return json_is_number(json) ? arena_printf(arena, "%.15g", json_number_value(json)) : NULL;
}

const struct follows *follows_read(struct arena *arena, const json_t *definition)
{
    const json_t *json = json_object_get(definition, "follows");
    const char *field = json_string_value(json_object_get(json, "field"));
    json_t *values = json_object_get(json, "values");
    const char *key;
    json_t *answer;

    if (field == NULL)
        return NULL;
    struct follows *follows = arena_alloc(arena, sizeof(*follows));
    follows->field = arena_strdup(arena, field);
    follows->pairs = arena_array(arena, struct pair, json_object_size(values) + 1);
    json_object_foreach(values, key, answer)
    {
        follows->pairs[follows->count++] =
            (struct pair){.value = arena_strdup(arena, key), .answer = read_text(arena, answer)};
    }
    follows->has_otherwise = json_object_get(json, "otherwise") != NULL;
    follows->otherwise = read_text(arena, json_object_get(json, "otherwise"));
    return follows;
}

const char *follows_field(const struct follows *follows)
{
    return follows->field;
}

bool follows_answer(const struct follows *follows, const char *value, const char *now,
                    const char **answer)
{
    bool is_listed = false;

    *answer = follows->otherwise;
    for (size_t i = 0; i < follows->count && !is_listed; i++)
        if (value != NULL && strcasecmp(follows->pairs[i].value, value) == 0) {
            *answer = follows->pairs[i].answer;
            is_listed = true;
        }
    if (*answer != NULL && strcmp(*answer, "@now") == 0)
        *answer = now;
    return is_listed || follows->has_otherwise;
}
