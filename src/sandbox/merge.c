#include "sandbox/merge.h"

#include <stdio.h>
#include <string.h>

#include "sandbox/events.h"
#include "sandbox/times.h"

enum { SQL_BYTES = 600 };

/* A merge on its way; both records are there and of one object. */
struct merge {
    struct save *save;
    const char *winner;
    const char *loser;
    const char *now;
};

static bool move_children(const struct merge *merge, const struct object *child,
                          const struct field *link, struct error *err)
{
    struct value values[] = {value_text(merge->winner), value_text(merge->loser),
                             value_text(merge->now)};
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql),
             "update \"%s\" set \"%s\" = ?1, \"SystemModstamp\" = ?3 "
             "where \"%s\" = ?2 and \"IsDeleted\" = 0",
             child->name, link->name, link->name);
    return store_change(merge->save->org->store, sql, values, 3, err);
}

static bool move_all_children(const struct merge *merge, struct error *err)
{
    const struct schema *schema = merge->save->org->schema;

    for (size_t i = 0; i < schema_count(schema); i++) {
        const struct object *child = schema_at(schema, i);

        for (size_t j = 0; j < child->field_count; j++)
            if (schema_field_refers_to(child->fields[j], merge->save->object) &&
                schema_is_stored(child->fields[j]) &&
                !move_children(merge, child, child->fields[j], err))
                return false;
    }
    return true;
}

static bool delete_loser(const struct merge *merge, struct error *err)
{
    const struct object *object = merge->save->object;
    const struct store_row row = {.object = object, .id = merge->loser};
    struct value values[] = {value_text(merge->now), value_text(merge->loser),
                             value_text(merge->winner)};
    char sql[SQL_BYTES];

    snprintf(sql, sizeof(sql),
             "update \"%s\" set \"IsDeleted\" = 1, \"SystemModstamp\" = ?1, "
             "\"LastModifiedDate\" = ?1, \"_deleted_with\" = ?2, \"MasterRecordId\" = ?3 "
             "where \"Id\" = ?2",
             object->name);
    return events_record_changed(merge->save, &row, EVENTS_DELETE, err) &&
           store_change(merge->save->org->store, sql, values, 3, err);
}

/* The record's id in full, or NULL after adding why it cannot take part. */
static bool find_record(struct save *save, const char *text, const char **id, struct error *err)
{
    struct store_row row;

    *id = NULL;
    if (!save_load(save, text, &row, err))
        return false;
    if (row.values == NULL)
        return true;
    if (row.values[schema_field(save->object, "IsDeleted")->index].integer != 0)
        errors_add(&save->errors, "ENTITY_IS_DELETED", "", "entity is deleted");
    else
        *id = row.id;
    return true;
}

bool merge_record(struct save *save, const char *winner_id, const char *loser_id, struct error *err)
{
    struct merge merge = {.save = save};
    json_t *nothing = NULL;

    if (schema_field(save->object, "MasterRecordId") == NULL) {
        errors_add(&save->errors, "INVALID_TYPE", "", "entity type %s does not support merge",
                   save->object->name);
        return true;
    }
    if (!find_record(save, loser_id, &merge.loser, err) ||
        !find_record(save, winner_id, &merge.winner, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    if (strcmp(merge.winner, merge.loser) == 0) {
        errors_add(&save->errors, "INVALID_CROSS_REFERENCE_KEY", "",
                   "a record cannot be merged into itself");
        return true;
    }
    merge.now = arena_strdup(save->arena, times_format_datetime(org_stamp(save->org)).text);
    if (!move_all_children(&merge, err) || !delete_loser(&merge, err))
        return false;
    nothing = json_object();
    bool is_done = save_update(save, merge.winner, nothing, err);
    json_decref(nothing);
    return is_done;
}
