#include "inbound/changes.h"

#include <string.h>

static const struct relation *make_relation(const struct mapping *mapping, struct arena *arena)
{
    struct relation *relation = arena_alloc(arena, sizeof(*relation));

    relation->schema = mapping->schema_name;
    relation->table = mapping->table_name;
    relation->column_count = mapping->field_count;
    relation->columns = arena_array(arena, struct column, mapping->field_count);
    relation->replica_identity = 'f';
    for (size_t i = 0; i < mapping->field_count; i++)
        relation->columns[i] = (struct column){.name = mapping->fields[i].column_name,
                                               .type = mapping->fields[i].column_type,
                                               .type_modifier = -1,
                                               .is_key = &mapping->fields[i] == mapping->id_field};
    return relation;
}

/* "Parent.Key__c" stands in the answer as {"Parent": {"Key__c": ...}}; a missing parent is null. */
static const json_t *find_value(const json_t *record, const struct mapping_field *field)
{
    if (field->relationship_name == NULL)
        return json_object_get(record, field->field_name);
    return json_object_get(json_object_get(record, field->relationship_name),
                           field->reference_field);
}

bool changes_read_field(const struct mapping_field *field, const json_t *record,
                        struct arena *arena, const char **text, struct error *err)
{
    const json_t *value = find_value(record, field);

    *text = NULL;
    return value == NULL || fieldtype_from_json(field->type, value, arena, text, err) ||
           error_prefix(err, "%s", field->field_name);
}

static bool fill_values(const struct mapping *mapping, const json_t *record, struct arena *arena,
                        struct value *values, struct error *err)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        const char *text;

        if (!changes_read_field(&mapping->fields[i], record, arena, &text, err))
            return false;
        values[i] = text == NULL ? (struct value){.kind = VALUE_NULL}
                                 : (struct value){VALUE_TEXT, text, strlen(text)};
    }
    return true;
}

static const char *text_of(const json_t *record, const char *field_name)
{
    const char *text = json_string_value(json_object_get(record, field_name));

    return text != NULL ? text : "";
}

static const struct transaction *make_transaction(const struct mapping *mapping,
                                                  const json_t *record, struct arena *arena)
{
    struct transaction *transaction = arena_alloc(arena, sizeof(*transaction));

    transaction->origin = CHANGES_ORIGIN;
    transaction->source_position =
        arena_printf(arena, "%s %s %s", mapping->object_name,
                     text_of(record, mapping->stamp->field_name), text_of(record, "Id"));
    return transaction;
}

/* Only the id of a deleted record says anything. */
static void make_delete(const struct mapping *mapping, struct row *row, struct value *values)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (&mapping->fields[i] != mapping->id_field)
            values[i] = (struct value){.kind = VALUE_ABSENT};
    row->op = ROW_DELETE;
    row->old_values = values;
    row->new_values = NULL;
}

struct changes changes_from_records(const struct mapping *mapping, const json_t *records,
                                    struct refusals *refusals)
{
    struct arena *arena = refusals->arena;
    const struct relation *relation = make_relation(mapping, arena);
    struct changes changes = {.events = arena_array(arena, struct event, json_array_size(records))};
    struct error err = {0};
    json_t *record;
    size_t i;

    json_array_foreach(records, i, record)
    {
        struct event *event = &changes.events[changes.count];
        struct value *values = arena_array(arena, struct value, mapping->field_count);

        if (!fill_values(mapping, record, arena, values, &err)) {
            refusals_add(refusals, text_of(record, "Id"), "%s", err.message);
            continue;
        }
        event->kind = EVENT_ROW;
        event->transaction = make_transaction(mapping, record, arena);
        event->seq = 1;
        event->row = (struct row){.op = ROW_UPDATE, .relation = relation, .new_values = values};
        if (json_is_true(json_object_get(record, "IsDeleted")))
            make_delete(mapping, &event->row, values);
        changes.count++;
    }
    return changes;
}
