#include "tail/redaction.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"

struct name {
    char *text;
    bool is_met;
};

struct redaction {
    struct name *names;
    size_t count;
    struct arena *arena; /* the copies of one row */
};

struct redaction *redaction_new(void)
{
    struct redaction *redaction = memory_alloc(sizeof(*redaction));

    redaction->arena = arena_new();
    return redaction;
}

void redaction_free(struct redaction *redaction)
{
    if (redaction == NULL)
        return;
    for (size_t i = 0; i < redaction->count; i++)
        free(redaction->names[i].text);
    free(redaction->names);
    arena_free(redaction->arena);
    free(redaction);
}

void redaction_add(struct redaction *redaction, const char *name)
{
    redaction->names =
        memory_realloc(redaction->names, (redaction->count + 1) * sizeof(*redaction->names));
    redaction->names[redaction->count++] = (struct name){.text = memory_strdup(name)};
}

/* The text without the dot and last at its end; false if it does not end so. */
static bool strip_last(const char **end, const char *text, const char *last)
{
    size_t size = (size_t)(*end - text);
    size_t last_size = strlen(last);

    if (size < last_size || strncasecmp(*end - last_size, last, last_size) != 0)
        return false;
    *end -= last_size;
    if (*end > text && (*end)[-1] == '.') {
        (*end)--;
        return true;
    }
    return *end == text;
}

static bool is_name_of(const char *text, const struct relation *relation, const char *column)
{
    const char *end = text + strlen(text);

    return strip_last(&end, text, column) &&
           (end == text ||
            (strip_last(&end, text, relation->table) &&
             (end == text || (strip_last(&end, text, relation->schema) && end == text))));
}

static bool is_redacted(struct redaction *redaction, const struct relation *relation,
                        const char *column)
{
    bool is_found = false;

    for (size_t i = 0; i < redaction->count; i++) {
        if (!is_name_of(redaction->names[i].text, relation, column))
            continue;
        redaction->names[i].is_met = true;
        is_found = true;
    }
    return is_found;
}

static bool is_known(const struct value *value)
{
    return value->kind == VALUE_TEXT || value->kind == VALUE_NULL || value->kind == VALUE_OMITTED;
}

static bool differs(const struct value *a, const struct value *b)
{
    if (!is_known(a) || !is_known(b))
        return false;
    return a->kind != b->kind || a->size_bytes != b->size_bytes ||
           (a->kind == VALUE_TEXT && memcmp(a->text, b->text, a->size_bytes) != 0);
}

static void hide(struct value *value, const char *text)
{
    if (is_known(value))
        *value = (struct value){.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};
}

static struct value *copy_values(struct redaction *redaction, const struct row *row,
                                 const struct value *values)
{
    size_t count = row->relation->column_count;

    if (values == NULL)
        return NULL;
    struct value *copy = arena_array(redaction->arena, struct value, count);
    memcpy(copy, values, count * sizeof(*copy));
    return copy;
}

void redaction_apply(struct redaction *redaction, struct row *row)
{
    if (redaction->count == 0)
        return;
    arena_reset(redaction->arena);
    struct value *new_values = copy_values(redaction, row, row->new_values);
    struct value *old_values = copy_values(redaction, row, row->old_values);
    for (size_t i = 0; i < row->relation->column_count; i++) {
        if (!is_redacted(redaction, row->relation, row->relation->columns[i].name))
            continue;
        bool is_changed =
            new_values != NULL && old_values != NULL && differs(&new_values[i], &old_values[i]);
        if (new_values != NULL)
            hide(&new_values[i], is_changed ? "[redacted: changed]" : "[redacted]");
        if (old_values != NULL)
            hide(&old_values[i], "[redacted]");
    }
    row->new_values = new_values;
    row->old_values = old_values;
}

const char *redaction_unmet(const struct redaction *redaction, size_t *at)
{
    while (*at < redaction->count) {
        const struct name *name = &redaction->names[(*at)++];

        if (!name->is_met)
            return name->text;
    }
    return NULL;
}
