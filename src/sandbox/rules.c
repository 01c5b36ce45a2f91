#include "sandbox/rules.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/ids.h"
#include "sandbox/values.h"

enum { MAX_RULES = 1000, SQL_BYTES = 64 * 1024 };

struct rules *rules_new(void)
{
    struct rules *rules = memory_alloc(sizeof(*rules));

    rules->row_faults = json_array();
    rules->duplicate_rules = json_array();
    return rules;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    json_decref(rules->row_faults);
    json_decref(rules->duplicate_rules);
    free(rules);
}

void rules_forget(struct rules *rules)
{
    json_array_clear(rules->row_faults);
    json_array_clear(rules->duplicate_rules);
    rules->skips_validation = false;
    rules->keeps_stamps = false;
}

static const char *get_text(const json_t *rule, const char *key)
{
    return json_string_value(json_object_get(rule, key));
}

/* ---- rows that fail ---- */

const char *rules_add_row_fault(struct rules *rules, const json_t *fault)
{
    struct ids_text id;

    if (json_array_size(rules->row_faults) >= MAX_RULES)
        return "too many row faults are waiting: DELETE /_sandbox/row-faults";
    if (get_text(fault, "id") == NULL &&
        (get_text(fault, "object") == NULL || get_text(fault, "field") == NULL))
        return "name an \"id\", or \"object\", \"field\" and \"value\"";
    if (get_text(fault, "id") != NULL && !ids_normalize(get_text(fault, "id"), &id))
        return "\"id\" is not an id";
    json_array_append_new(rules->row_faults, json_deep_copy(fault));
    return NULL;
}

static bool is_meant_by_id(const struct save *save, const char *text)
{
    struct ids_text id;

    return save->id != NULL && ids_normalize(text, &id) && strcmp(id.text, save->id) == 0;
}

static bool is_meant_by_value(const struct save *save, const json_t *fault,
                              const struct value *values)
{
    const struct field *field = schema_field(save->object, get_text(fault, "field"));
    const json_t *json = json_object_get(fault, "value");
    struct record_errors ignored = {.arena = save->arena};
    struct value value;

    if (values == NULL || field == NULL || json == NULL ||
        strcasecmp(get_text(fault, "object"), save->object->name) != 0 ||
        !values_read(field, json, &value, &ignored))
        return false;
    const struct value *own = &values[field->index];
    return own->kind == value.kind &&
           (own->kind == VALUE_TEXT ? strcasecmp(own->text, value.text) == 0
                                    : own->integer == value.integer && own->real == value.real);
}

static void add_fault(struct save *save, const json_t *fault)
{
    const char *code = get_text(fault, "code");
    const char *message = get_text(fault, "message");
    const char *fields = get_text(fault, "fields");

    if (message == NULL)
        message = arena_printf(save->arena,
                               "unable to obtain exclusive access to this record or 1 records: %s",
                               save->id != NULL ? save->id : "");
    errors_add(&save->errors, code != NULL ? code : "UNABLE_TO_LOCK_ROW",
               fields != NULL ? fields : "", "%s", message);
}

void rules_check_row(struct save *save, const struct value *values)
{
    json_t *list = save->org->rules->row_faults;
    size_t index;
    json_t *fault;

    json_array_foreach(list, index, fault)
    {
        const char *id = get_text(fault, "id");
        json_int_t times = json_object_get(fault, "times") != NULL
                               ? json_integer_value(json_object_get(fault, "times"))
                               : 1;

        if (!(id != NULL ? is_meant_by_id(save, id) : is_meant_by_value(save, fault, values)))
            continue;
        add_fault(save, fault);
        json_object_set_new(fault, "times", json_integer(times - 1));
        if (times <= 1)
            json_array_remove(list, index);
        return;
    }
}

/* ---- duplicates ---- */

const char *rules_add_duplicate_rule(struct org *org, const json_t *rule)
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

    buf_printf(sql, "select 1 from \"%s\" where \"IsDeleted\" = 0 and \"Id\" is not ?1",
               object->name);
    json_array_foreach(fields, index, each) buf_printf(
        sql, " and \"%s\" = ?%zu", schema_field(object, json_string_value(each))->name, index + 2);
    buf_text(sql, " limit 1");
}

static bool find_duplicate(struct draft *draft, const json_t *fields, bool *is_found,
                           struct error *err)
{
    struct save *save = draft->save;
    struct value own_id = value_text(save->id);
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
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
    bool is_done = store_step(save->org->store, statement, is_found, err);
    sqlite3_reset(statement);
    return is_done;
}

bool rules_check_duplicates(struct draft *draft, struct error *err)
{
    const struct rules *rules = draft->save->org->rules;
    size_t index;
    const json_t *rule;

    json_array_foreach(rules->duplicate_rules, index, rule)
    {
        const json_t *allowed = json_object_get(rule, "allow_save");
        const char *message = get_text(rule, "message");
        bool is_found = false;

        if (!concerns(draft, rule) || (rules->allows_duplicates && !json_is_false(allowed)))
            continue;
        if (!find_duplicate(draft, json_object_get(rule, "fields"), &is_found, err))
            return false;
        if (is_found) {
            errors_add(&draft->save->errors, "DUPLICATES_DETECTED", "", "%s",
                       message != NULL ? message : "Use one of these records?");
            return true;
        }
    }
    return true;
}

void rules_read_header(const struct call *call)
{
    const char *header = http_server_header(call->request, "Sforce-Duplicate-Rule-Header");

    call->org->rules->allows_duplicates =
        header != NULL && strcasestr(header, "allowSave=true") != NULL;
}
