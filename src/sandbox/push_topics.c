#include "sandbox/push_topics.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "sandbox/event_log.h"
#include "sandbox/query.h"
#include "sandbox/soql_lexer.h"
#include "sandbox/soql_plan.h"
#include "sandbox/times.h"

enum { MAX_ROW_BYTES = 1000000, KIND_COUNT = 4 };

static const char *const event_types[KIND_COUNT] = {
    [EVENTS_CREATE] = "created",
    [EVENTS_UPDATE] = "updated",
    [EVENTS_DELETE] = "deleted",
    [EVENTS_UNDELETE] = "undeleted",
};

static const char *const notify_fields[KIND_COUNT] = {
    [EVENTS_CREATE] = "NotifyForOperationCreate",
    [EVENTS_UPDATE] = "NotifyForOperationUpdate",
    [EVENTS_DELETE] = "NotifyForOperationDelete",
    [EVENTS_UNDELETE] = "NotifyForOperationUndelete",
};

struct push_topic {
    const char *name;
    const char *object;
    const char *head;      /* SELECT ... FROM ... */
    const char *condition; /* what follows WHERE; NULL for none */
    const char *selected;  /* names, each between commas */
    const char *filtered;
    const char *fields; /* NotifyForFields */
    bool notifies[KIND_COUNT];
    struct push_topic *next;
};

/* ---- the query ---- */

static bool is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_NAME && strcasecmp(token->text, word) == 0;
}

/* The words that a PushTopic's query may not have. */
static bool is_refused(const struct token *token)
{
    static const char *const words[] = {"GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "TYPEOF"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(token, words[i]))
            return true;
    return false;
}

static void add_name(struct arena *arena, const char **names, const char *name)
{
    *names = arena_printf(arena, "%s%s,", *names != NULL ? *names : ",", name);
}

/* Splits the query; answers what it may not have, or NULL. */
static const char *split_query(struct arena *arena, const char *query, struct push_topic *topic)
{
    struct soql_lexer lexer = {.arena = arena, .text = query};
    bool is_after_from = false;
    int selects = 0;

    topic->head = query;
    topic->selected = topic->filtered = ",";
    for (struct token token = soql_lexer_next(&lexer); token.kind != TOKEN_END;
         token = soql_lexer_next(&lexer)) {
        if (token.kind == TOKEN_BAD)
            return "a word that cannot be read";
        if (is_refused(&token))
            return token.text;
        if (is_word(&token, "SELECT") && selects++ > 0)
            return "a sub-select";
        if (is_word(&token, "WHERE") && topic->condition == NULL) {
            topic->head = arena_strndup(arena, query, token.position);
            topic->condition = query + token.position + strlen("WHERE");
        } else if (is_word(&token, "FROM")) {
            is_after_from = true;
        } else if (is_after_from && topic->object == NULL) {
            topic->object = token.text;
        } else if (token.kind == TOKEN_NAME) {
            add_name(arena, topic->condition != NULL ? &topic->filtered : &topic->selected,
                     token.text);
        }
    }
    return topic->object == NULL ? "no FROM" : NULL;
}

static bool has_name(const char *names, const char *name, size_t length)
{
    for (const char *each = names; *each == ',' && each[1] != '\0';
         each += strcspn(each + 1, ",") + 1)
        if (strncasecmp(each + 1, name, length) == 0 && each[length + 1] == ',')
            return true;
    return false;
}

static struct soql_plan *plan_query(const struct org *org, const char *query, bool includes_deleted,
                                    struct record_errors *errors)
{
    struct soql_context context = {
        .schema = org->schema,
        .errors = errors,
        .now_s = org_now(org),
        .includes_deleted = includes_deleted,
    };
    struct soql_query *parsed = soql_parse(query, errors);

    return parsed != NULL ? soql_plan(&context, parsed) : NULL;
}

static const struct value *find_value(const struct draft *draft, const char *name)
{
    const struct field *field = schema_field(draft->save->object, name);

    return field != NULL ? &draft->values[field->index] : NULL;
}

void push_topics_check(struct draft *draft)
{
    struct save *save = draft->save;
    struct push_topic topic = {0};

    if (strcmp(save->object->name, "PushTopic") != 0 || !errors_is_empty(&save->errors))
        return;
    const struct value *query = find_value(draft, "Query");
    if (query == NULL || query->text == NULL)
        return;
    const char *refused = split_query(save->arena, query->text, &topic);
    if (refused != NULL)
        errors_add(&save->errors, "INVALID_FIELD", "QUERY", "%s is not supported in a PushTopic",
                   refused);
    else if (!has_name(topic.selected, "Id", 2))
        errors_add(&save->errors, "INVALID_FIELD", "QUERY", "Id field must be specified");
    else
        plan_query(save->org, query->text, false, &save->errors);
}

/* ---- which topics there are ---- */

static struct push_topic *read_topic(struct arena *arena, sqlite3_stmt *statement)
{
    struct push_topic *topic = arena_alloc(arena, sizeof(*topic));
    const char *query = store_column(arena, statement, 1).text;

    topic->name = store_column(arena, statement, 0).text;
    topic->fields = store_column(arena, statement, 2).text;
    for (int i = 0; i < KIND_COUNT; i++)
        topic->notifies[i] = sqlite3_column_int(statement, 3 + i) != 0;
    if (topic->name == NULL || query == NULL || split_query(arena, query, topic) != NULL)
        return NULL;
    return topic;
}

bool push_topics_load(struct call *call, struct push_topic **topics, struct error *err)
{
    const char *sql = arena_printf(
        call->arena,
        "select \"Name\", \"Query\", \"NotifyForFields\", \"%s\", \"%s\", \"%s\", \"%s\" "
        "from \"PushTopic\" where \"IsActive\" = 1 and \"IsDeleted\" = 0",
        notify_fields[0], notify_fields[1], notify_fields[2], notify_fields[3]);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(call->org->store, sql, &statement, err))
        return false;
    for (;;) {
        if (!store_step(call->org->store, statement, &has_row, err))
            return false;
        if (!has_row)
            return true;
        struct push_topic *topic = read_topic(call->arena, statement);
        if (topic == NULL)
            continue;
        topic->next = *topics;
        *topics = topic;
    }
}

/* ---- telling ---- */

/* An update concerns the topic when one of the fields it watches has changed. */
static bool watches(const struct push_topic *topic, const struct event_change *change)
{
    bool is_all = topic->fields != NULL && strcasecmp(topic->fields, "All") == 0;
    bool is_where = topic->fields != NULL && strcasecmp(topic->fields, "Where") == 0;
    bool is_select = topic->fields != NULL && strcasecmp(topic->fields, "Select") == 0;
    const char *each = change->fields;

    if (change->kind != EVENTS_UPDATE || is_all || each == NULL)
        return true;
    if (is_where && topic->condition == NULL)
        return true;
    while (*each != '\0') {
        size_t length = strcspn(each, ",");

        if ((!is_where && has_name(topic->selected, each, length)) ||
            (!is_select && has_name(topic->filtered, each, length)))
            return true;
        each += length + (each[length] == ',');
    }
    return false;
}

/* A topic's datetimes end in Z and have milliseconds. */
static void rewrite_datetimes(const struct object *object, json_t *row)
{
    const char *name;
    json_t *value;

    json_object_foreach(row, name, value)
    {
        const struct field *field = schema_field(object, name);
        const char *text = json_string_value(value);

        if (field != NULL && field->type->kind == KIND_DATETIME && text != NULL)
            json_object_set_new(row, name, json_sprintf("%.23sZ", text));
    }
}

/* The record as the topic's query sees it; NULL when it does not. */
static bool read_row(struct call *call, const struct push_topic *topic,
                     const struct event_change *change, json_t **row, struct error *err)
{
    struct record_errors errors = {.arena = call->arena};
    struct buf out BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    const char *query = arena_printf(call->arena, "%s WHERE Id = '%s'%s%s%s", topic->head,
                                     change->id, topic->condition != NULL ? " AND (" : "",
                                     topic->condition != NULL ? topic->condition : "",
                                     topic->condition != NULL ? ")" : "");
    struct soql_plan *plan = plan_query(call->org, query, change->kind == EVENTS_DELETE, &errors);

    *row = NULL;
    if (plan == NULL)
        return true;
    buf_init(&out, MAX_ROW_BYTES);
    bool is_read = query_prepare(call, plan, plan->sql, &statement, err);
    if (is_read && sqlite3_step(statement) == SQLITE_ROW) {
        is_read = query_write_row(call, plan, statement, &out, err);
        *row = is_read ? json_loads(out.data, 0, NULL) : NULL;
    }
    sqlite3_finalize(statement);
    return is_read;
}

static bool append_event(struct call *call, const struct push_topic *topic,
                         const struct event_change *change, json_t *row, struct error *err)
{
    int64_t now_ms = clock_wall_us() / 1000 + call->org->clock_offset_s * 1000;

    json_object_del(row, "attributes");
    rewrite_datetimes(change->object, row);
    if (change->kind == EVENTS_DELETE) {
        json_object_clear(row);
        json_object_set_new(row, "Id", json_string(change->id));
    }
    char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(15));
    struct event event = {
        .channel = arena_printf(call->arena, "/topic/%s", topic->name),
        .data = arena_printf(call->arena, "\"sobject\":%s", text),
        .extra = arena_printf(call->arena, "\"createdDate\":\"%.19s.%03dZ\",\"type\":\"%s\"",
                              times_format_datetime(now_ms / 1000).text, (int)(now_ms % 1000),
                              event_types[change->kind]),
    };
    free(text);
    return event_log_append(events_log(call->org->events), &event, org_now(call->org), err);
}

bool push_topics_tell(struct call *call, const struct push_topic *topics,
                      const struct event_change *change, struct error *err)
{
    for (const struct push_topic *topic = topics; topic != NULL; topic = topic->next) {
        json_t *row = NULL;

        if (strcasecmp(topic->object, change->object->name) != 0 ||
            !topic->notifies[change->kind] || !watches(topic, change))
            continue;
        if (!read_row(call, topic, change, &row, err))
            return false;
        bool is_told = row == NULL || append_event(call, topic, change, row, err);
        json_decref(row);
        if (!is_told)
            return false;
    }
    return true;
}
