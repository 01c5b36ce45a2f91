#include "sandbox/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/ids.h"
#include "sandbox/values.h"

enum { MAX_RULES = 1000 };

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

void rules_read_header(const struct call *call)
{
    const char *header = http_server_header(call->request, "Sforce-Duplicate-Rule-Header");

    call->org->rules->allows_duplicates =
        header != NULL && strcasestr(header, "allowSave=true") != NULL;
    snprintf(call->org->rules->version, RULES_VERSION_BYTES, "%s",
             call->segment_count > 2 ? call->segments[2] : "");
}
