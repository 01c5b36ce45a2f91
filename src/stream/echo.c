#include "stream/echo.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "pg/origin.h"
#include "sync/merge.h"

enum { KEY_MAX_BYTES = 1024 };

struct echo {
    struct origin_name origin;
    json_t *written; /* "account 001..." -> true for a deletion, else its values */
    struct arena *arena;
};

struct echo *echo_new(const char *schema_name)
{
    struct echo *echo = memory_alloc(sizeof(*echo));

    *echo = (struct echo){
        .origin = origin_name("echo", schema_name), .written = json_object(), .arena = arena_new()};
    return echo;
}

void echo_free(struct echo *echo)
{
    if (echo == NULL)
        return;
    json_decref(echo->written);
    arena_free(echo->arena);
    free(echo);
}

bool echo_is_from(const struct echo *echo, const struct transaction *transaction)
{
    return transaction != NULL && strcmp(transaction->origin, echo->origin.text) == 0;
}

void echo_note(struct echo *echo, const struct message *message)
{
    json_t *wrote = json_loadb(message->content, message->content_bytes, 0, NULL);
    const char *table = json_string_value(json_array_get(wrote, 0));
    json_t *values = json_array_get(wrote, 2);
    const char *sfid = json_string_value(json_object_get(values, "sfid"));
    struct buf key BUF_AUTO = {0};

    buf_init(&key, KEY_MAX_BYTES);
    if (table != NULL && sfid != NULL) {
        buf_printf(&key, "%s %s", table, sfid);
        if (json_is_true(json_array_get(wrote, 1)))
            json_object_set_new(echo->written, key.data, json_true());
        else
            json_object_set(echo->written, key.data, values);
    }
    json_decref(wrote);
}

static json_t *find_written(const struct echo *echo, const struct row *row)
{
    const struct value *values = row->op == ROW_DELETE ? row->old_values : row->new_values;
    int column = relation_column(row->relation, "sfid");
    struct buf key BUF_AUTO = {0};

    if (column < 0 || values == NULL || values[column].kind != VALUE_TEXT)
        return NULL;
    buf_init(&key, KEY_MAX_BYTES);
    buf_printf(&key, "%s ", row->relation->table);
    buf_append(&key, values[column].text, values[column].size_bytes);
    return json_object_get(echo->written, key.data);
}

/* A column that was not announced is not mapped: it is taken to be as it was written. */
static struct value written_value(const json_t *values, const struct row *row, size_t column)
{
    const json_t *value = json_object_get(values, row->relation->columns[column].name);

    if (value == NULL)
        return row->new_values[column];
    if (!json_is_string(value))
        return (struct value){.kind = VALUE_NULL};
    return (struct value){VALUE_TEXT, json_string_value(value), json_string_length(value)};
}

/* From now on what the trigger made of it is known. */
static void update_written(json_t *values, const struct column *column, const struct value *value)
{
    if (value->kind == VALUE_NULL)
        json_object_set_new(values, column->name, json_null());
    else if (value->kind == VALUE_TEXT)
        json_object_set_new(values, column->name,
                            json_stringn_nocheck(value->text, value->size_bytes));
}

/* The values are copied: what was announced is about to be replaced. */
static void keep(struct arena *arena, struct value *value)
{
    if (value->kind == VALUE_TEXT)
        value->text = arena_strndup(arena, value->text, value->size_bytes);
}

enum echo_verdict echo_judge(struct echo *echo, const struct event *event, struct event *change)
{
    const struct row *row = &event->row;
    size_t count = row->relation->column_count;
    json_t *values = find_written(echo, row);

    if (values == NULL || json_is_true(values) != (row->op == ROW_DELETE))
        return ECHO_FOREIGN;
    if (row->op == ROW_DELETE)
        return ECHO_ECHO;
    struct value *written = arena_array(echo->arena, struct value, count);
    size_t *differing = arena_array(echo->arena, size_t, count);
    for (size_t i = 0; i < count; i++)
        written[i] = written_value(values, row, i);
    size_t differing_count = merge_differing(written, row->new_values, count, differing);
    /* Nothing equals a value that is not known, itself included. */
    size_t known_count = 0;
    for (size_t i = 0; i < differing_count; i++)
        if (json_object_get(values, row->relation->columns[differing[i]].name) != NULL)
            differing[known_count++] = differing[i];
    if (known_count == 0)
        return ECHO_ECHO;
    for (size_t i = 0; i < known_count; i++) {
        keep(echo->arena, &written[differing[i]]);
        update_written(values, &row->relation->columns[differing[i]],
                       &row->new_values[differing[i]]);
    }
    *change = *event;
    change->row.op = ROW_UPDATE;
    change->row.old_values = written;
    return ECHO_CHANGED;
}

void echo_end(struct echo *echo)
{
    json_object_clear(echo->written);
    arena_reset(echo->arena);
}
