#include "sandbox/door_rules.h"

#include <string.h>

#include "sandbox/duplicates.h"
#include "sandbox/merge.h"
#include "sandbox/oauth_jwt.h"
#include "sandbox/rules.h"

enum { MAX_LOSERS = 2 };

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

static void answer_done(struct call *call)
{
    call_json(call, 200, json_pack("{s:b}", "done", 1));
}

/* ---- settings ---- */

static json_t *list_hidden(const struct schema *schema)
{
    json_t *list = json_array();

    for (size_t i = 0; i < schema_count(schema); i++) {
        const struct object *object = schema_at(schema, i);

        for (size_t j = 0; j < object->field_count; j++)
            if (object->fields[j]->is_hidden &&
                (object->has_recycle_bin || strcmp(object->fields[j]->name, "IsDeleted") != 0))
                json_array_append_new(list, json_pack("{s:s, s:s}", "object", object->name, "field",
                                                      object->fields[j]->name));
    }
    return list;
}

void door_rules_read(struct call *call)
{
    const struct org *org = call->org;

    call_json(call, 200,
              json_pack("{s:b, s:b, s:b, s:I, s:I, s:b, s:o}", "validation",
                        !org->rules->skips_validation, "rollup_stamps", !org->rules->keeps_stamps,
                        "view_encrypted", !org->masks_secrets, "commit_lag_s",
                        (json_int_t)org->commit_lag_s, "page_rows", (json_int_t)org->page_rows,
                        "jwt_certificate", org->jwt_key != NULL, "hidden",
                        list_hidden(org->schema)));
}

static void set_negated(const json_t *body, const char *key, bool *flag)
{
    const json_t *value = json_object_get(body, key);

    if (value != NULL)
        *flag = json_is_false(value);
}

static void set_number(const json_t *body, const char *key, int64_t *number)
{
    const json_t *value = json_object_get(body, key);

    if (value != NULL)
        *number = json_integer_value(value);
}

/* Field-level security, for the one user there is. False when there is no such field. */
static bool set_hidden(struct call *call, const json_t *list, bool is_hidden)
{
    size_t index;
    const json_t *each;

    json_array_foreach(list, index, each)
    {
        const char *object_name = json_string_value(json_object_get(each, "object"));
        const char *field_name = json_string_value(json_object_get(each, "field"));
        const struct object *object =
            object_name != NULL ? schema_find(call->org->schema, object_name) : NULL;
        struct field *field = object != NULL && field_name != NULL
                                  ? (struct field *)schema_field(object, field_name)
                                  : NULL;

        if (field == NULL)
            return false;
        field->is_hidden = is_hidden || field->is_gone;
        call->org->schema_modified_s = org_now(call->org);
    }
    return true;
}

void door_rules_set(struct call *call)
{
    json_t *body = call_body(call);
    struct org *org = call->org;
    struct error err = {0};

    if (body == NULL)
        return;
    const json_t *certificate = json_object_get(body, "jwt_certificate");
    if (certificate != NULL && !oauth_jwt_set_key(org, json_string_value(certificate), &err)) {
        refuse(call, err.message);
        return;
    }
    if (!set_hidden(call, json_object_get(body, "hide"), true) ||
        !set_hidden(call, json_object_get(body, "show"), false)) {
        refuse(call, "\"hide\" and \"show\" list {\"object\", \"field\"} that exist");
        return;
    }
    set_negated(body, "validation", &org->rules->skips_validation);
    set_negated(body, "rollup_stamps", &org->rules->keeps_stamps);
    set_negated(body, "view_encrypted", &org->masks_secrets);
    set_number(body, "commit_lag_s", &org->commit_lag_s);
    set_number(body, "page_rows", &org->page_rows);
    door_rules_read(call);
}

/* ---- rows that fail, duplicates ---- */

void door_rules_row_faults(struct call *call)
{
    call_json(call, 200, json_pack("{s:O}", "row_faults", call->org->rules->row_faults));
}

/* problem NULL: it was added. */
static void answer_added(struct call *call, const char *problem)
{
    if (problem != NULL)
        refuse(call, problem);
    else
        answer_done(call);
}

void door_rules_add_row_fault(struct call *call)
{
    json_t *body = call_body(call);

    if (body != NULL)
        answer_added(call, rules_add_row_fault(call->org->rules, body));
}

void door_rules_clear_row_faults(struct call *call)
{
    json_array_clear(call->org->rules->row_faults);
    call_no_content(call);
}

void door_rules_add_duplicates(struct call *call)
{
    json_t *body = call_body(call);

    if (body != NULL)
        answer_added(call, duplicates_add_rule(call->org, body));
}

void door_rules_clear_duplicates(struct call *call)
{
    json_array_clear(call->org->rules->duplicate_rules);
    call_no_content(call);
}

/* ---- merging ---- */

static bool merge_all(struct save *save, const char *winner, const json_t *losers,
                      struct error *err)
{
    size_t index;
    const json_t *loser;

    json_array_foreach(losers, index, loser)
    {
        const char *id = json_string_value(loser);

        if (!merge_record(save, winner, id != NULL ? id : "", err))
            return false;
        if (!errors_is_empty(&save->errors))
            return true;
    }
    return true;
}

void door_rules_merge(struct call *call)
{
    json_t *body = call_body(call);
    const char *winner = json_string_value(json_object_get(body, "winner"));
    const json_t *losers = json_object_get(body, "losers");
    const struct object *object = winner != NULL && strlen(winner) >= 3
                                      ? schema_find_prefix(call->org->schema, winner)
                                      : NULL;
    struct store *store = call->org->store;
    struct error err = {0};
    struct save save;

    if (body == NULL)
        return;
    if (object == NULL || json_array_size(losers) == 0 || json_array_size(losers) > MAX_LOSERS) {
        refuse(call, "send {\"winner\": id, \"losers\": [one or two ids]}");
        return;
    }
    save_init(&save, call->org, call->arena, object);
    bool is_done = store_begin(store, &err);
    if (is_done) {
        is_done = merge_all(&save, winner, losers, &err);
        bool is_kept = is_done && errors_is_empty(&save.errors);
        is_done = (is_kept ? store_commit(store, &err) : store_rollback(store, &err)) && is_done;
    }
    if (!is_done)
        call_failed(call, &err);
    else if (!errors_is_empty(&save.errors))
        call_errors(call, &save.errors);
    else
        answer_done(call);
}
