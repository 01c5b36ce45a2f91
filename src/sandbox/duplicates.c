#include "sandbox/duplicates.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/rules.h"

enum { MAX_RULES = 1000, MAX_MATCHES = 100, SQL_BYTES = 64 * 1024 };

static const char *get_text(const json_t *rule, const char *key)
{
    return json_string_value(json_object_get(rule, key));
}

const char *duplicates_add_rule(struct org *org, const json_t *rule)
{
    const char *name = get_text(rule, "object");
    const struct object *object = name != NULL ? schema_find(org->schema, name) : NULL;
    const json_t *fields = json_object_get(rule, "fields");
    size_t index;
    const json_t *each;

    if (object == NULL)
        return "\"object\" must name an object";
    if (json_array_size(fields) == 0 || json_array_size(org->rules->duplicate_rules) >= MAX_RULES)
        return "\"fields\" must name the fields that make a duplicate";
    json_array_foreach(fields, index, each)
    {
        const char *text = json_string_value(each);
        const struct field *field = text != NULL ? schema_field(object, text) : NULL;

        if (field == NULL || !schema_is_stored(field))
            return "\"fields\" names a field that the object does not have";
    }
    json_array_append_new(org->rules->duplicate_rules, json_deep_copy(rule));
    return NULL;
}

/* Whether the rule looks at this draft: every field has a value, and one of them was given. */
static bool concerns(const struct draft *draft, const json_t *rule)
{
    const struct object *object = draft->save->object;
    bool is_given = false;
    size_t index;
    const json_t *each;

    if (strcasecmp(get_text(rule, "object"), object->name) != 0)
        return false;
    json_array_foreach(json_object_get(rule, "fields"), index, each)
    {
        const struct field *field = schema_field(object, json_string_value(each));

        if (draft->values[field->index].kind == VALUE_NULL)
            return false;
        is_given = is_given || draft->is_given[field->index];
    }
    return is_given;
}

static void write_search(const struct object *object, const json_t *fields, struct buf *sql)
{
    size_t index;
    const json_t *each;

    buf_printf(sql, "select \"Id\" from \"%s\" where \"IsDeleted\" = 0 and \"Id\" is not ?1",
               object->name);
    json_array_foreach(fields, index, each) buf_printf(
        sql, " and \"%s\" = ?%zu", schema_field(object, json_string_value(each))->name, index + 2);
    buf_printf(sql, " order by \"_row\" limit %d", MAX_MATCHES);
}

static json_t *describe_match(const struct save *save, const char *id)
{
    const char *object = save->object->name;

    return json_pack(
        "{s:[], s:[], s:f, s:{s:{s:s, s:o}, s:s}}", "additionalInformation", "fieldDiffs",
        "matchConfidence", 100.0, "record", "attributes", "type", object, "url",
        json_sprintf("/services/data/%s/sobjects/%s/%s", save->org->rules->version, object, id),
        "Id", id);
}

/* The records alike, as matchRecords tells them; an empty array when there are none. */
static bool find_duplicates(struct draft *draft, const json_t *fields, json_t *matches,
                            struct error *err)
{
    struct save *save = draft->save;
    struct value own_id = value_text(save->id);
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    bool has_row = true;
    bool is_done = true;
    size_t index;
    const json_t *each;

    buf_init(&sql, SQL_BYTES);
    write_search(save->object, fields, &sql);
    if (!store_prepare(save->org->store, sql.data, &statement, err))
        return false;
    store_bind(statement, 1, &own_id);
    json_array_foreach(fields, index, each)
    {
        const struct field *field = schema_field(save->object, json_string_value(each));

        store_bind(statement, (int)index + 2, &draft->values[field->index]);
    }
    while (is_done && has_row) {
        is_done = store_step(save->org->store, statement, &has_row, err);
        if (is_done && has_row)
            json_array_append_new(
                matches, describe_match(save, (const char *)sqlite3_column_text(statement, 0)));
    }
    sqlite3_reset(statement);
    return is_done;
}

/* The duplicateResult of the answer. Takes over matches. */
static const char *describe_result(const struct draft *draft, const json_t *rule,
                                   const char *message, json_t *matches)
{
    const char *object = draft->save->object->name;
    size_t count = json_array_size(matches);
    json_t *result =
        json_pack("{s:b, s:o, s:s, s:s, s:[{s:s, s:[], s:s, s:o, s:o, s:I, s:b}]}", "allowSave",
                  !json_is_false(json_object_get(rule, "allow_save")), "duplicateRule",
                  json_sprintf("%s_Duplicate_Rule", object), "duplicateRuleEntityType", object,
                  "errorMessage", message, "matchResults", "entityType", object, "errors",
                  "matchEngine", "ExactMatchEngine", "matchRecords", matches, "rule",
                  json_sprintf("%s_Match_Rule", object), "size", (json_int_t)count, "success", 1);
    char *text = json_dumps(result, JSON_COMPACT);
    const char *kept = arena_strdup(draft->save->arena, text != NULL ? text : "null");

    free(text);
    json_decref(result);
    return kept;
}

/* Whether the rule refuses the draft, which then has its error. */
static bool check_rule(struct draft *draft, const json_t *rule, bool *is_refused, struct error *err)
{
    struct record_errors *errors = &draft->save->errors;
    const char *message = get_text(rule, "message");
    json_t *matches = json_array();

    if (!find_duplicates(draft, json_object_get(rule, "fields"), matches, err)) {
        json_decref(matches);
        return false;
    }
    *is_refused = json_array_size(matches) > 0;
    if (!*is_refused) {
        json_decref(matches);
        return true;
    }
    if (message == NULL)
        message = "Use one of these records?";
    errors_add(errors, "DUPLICATES_DETECTED", "", "%s", message);
    errors->last->duplicates = describe_result(draft, rule, message, matches);
    return true;
}

bool duplicates_check(struct draft *draft, struct error *err)
{
    const struct rules *rules = draft->save->org->rules;
    bool is_refused = false;
    size_t index;
    const json_t *rule;

    json_array_foreach(rules->duplicate_rules, index, rule)
    {
        const json_t *allowed = json_object_get(rule, "allow_save");

        if (!concerns(draft, rule) || (rules->allows_duplicates && !json_is_false(allowed)))
            continue;
        if (!check_rule(draft, rule, &is_refused, err))
            return false;
        if (is_refused)
            return true;
    }
    return true;
}
