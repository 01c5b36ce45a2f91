#include "sandbox/removal.h"

#include <stdio.h>

#include "sandbox/events.h"
#include "sandbox/locks.h"
#include "sandbox/rules.h"
#include "sandbox/times.h"

enum { SQL_BYTES = 600 };

/* The records to go, in the order in which they were found. */
struct victim {
    const struct object *object;
    const char *id;
    struct victim *next;
};

struct removal {
    struct save *save;
    const char *root; /* the record whose deletion caused all this */
    const char *now;
    bool is_hard; /* change events do not tell of it */
    struct victim *last;
};

/* A reference from another object to the victim's. */
struct link {
    const struct object *child;
    const struct field *field;
};

static void append_victim(struct removal *removal, const struct object *object, const char *id)
{
    struct victim *victim = arena_alloc(removal->save->arena, sizeof(*victim));

    *victim = (struct victim){.object = object, .id = id};
    if (removal->last != NULL)
        removal->last->next = victim;
    removal->last = victim;
}

static bool mark_deleted(struct removal *removal, const struct victim *victim, struct error *err)
{
    const struct store_row row = {.object = victim->object, .id = victim->id};
    char sql[SQL_BYTES];
    struct value values[] = {value_text(removal->now), value_text(removal->root),
                             value_text(victim->id)};

    snprintf(sql, sizeof(sql),
             "update \"%s\" set \"IsDeleted\" = 1, \"SystemModstamp\" = ?1, "
             "\"LastModifiedDate\" = ?1, \"_deleted_with\" = ?2 "
             "where \"Id\" = ?3 and \"IsDeleted\" = 0",
             victim->object->name);
    if (!removal->is_hard && !events_record_changed(removal->save, &row, EVENTS_DELETE, err))
        return false;
    return store_change(removal->save->org->store, sql, values, 3, err);
}

static bool clear_lookup(struct removal *removal, const struct link *link, const char *id,
                         struct error *err)
{
    char sql[SQL_BYTES];
    struct value value = value_text(id);

    snprintf(sql, sizeof(sql),
             "update \"%s\" set \"%s\" = null where \"%s\" = ? and \"IsDeleted\" = 0",
             link->child->name, link->field->name, link->field->name);
    return store_change(removal->save->org->store, sql, &value, 1, err);
}

static bool append_children(struct removal *removal, const struct link *link, const char *id,
                            struct error *err)
{
    struct store *store = removal->save->org->store;
    char sql[SQL_BYTES];
    struct value value = value_text(id);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    snprintf(sql, sizeof(sql), "select \"Id\" from \"%s\" where \"%s\" = ? and \"IsDeleted\" = 0",
             link->child->name, link->field->name);
    if (!store_prepare(store, sql, &statement, err))
        return false;
    store_bind(statement, 1, &value);
    for (;;) {
        if (!store_step(store, statement, &has_row, err))
            return false;
        if (!has_row)
            return true;
        append_victim(removal, link->child, store_column(removal->save->arena, statement, 0).text);
    }
}

/* A child that restricts the deletion refuses it all. */
static bool check_restriction(struct removal *removal, const struct link *link, const char *id,
                              struct error *err)
{
    struct save *save = removal->save;
    struct store_search search = {
        .object = link->child, .field = link->field, .value = value_text(id)};

    if (!store_find(save->org->store, save->arena, &search, err))
        return false;
    if (search.count > 0)
        errors_add(&save->errors, "DELETE_FAILED", "",
                   "Your attempt to delete %s could not be completed because it is associated with "
                   "the following %s.: %s",
                   id, link->child->label_plural, search.ids[0]);
    return true;
}

static bool follow_link(struct removal *removal, const struct link *link, const char *id,
                        struct error *err)
{
    if (link->field->restricts_delete)
        return check_restriction(removal, link, id, err);
    if (link->field->cascades_delete)
        return append_children(removal, link, id, err);
    if (!link->field->is_nillable)
        return true;
    return clear_lookup(removal, link, id, err);
}

static bool follow_links(struct removal *removal, const struct victim *victim, struct error *err)
{
    const struct schema *schema = removal->save->org->schema;

    for (size_t i = 0; i < schema_count(schema); i++) {
        struct link link = {.child = schema_at(schema, i)};

        for (size_t j = 0; j < link.child->field_count; j++) {
            link.field = link.child->fields[j];
            if (schema_field_refers_to(link.field, victim->object) &&
                !follow_link(removal, &link, victim->id, err))
                return false;
        }
    }
    return true;
}

static bool find_victim(struct save *save, const char *id, bool *is_deleted, struct error *err)
{
    struct store_row row;

    if (!save_load(save, id, &row, err))
        return false;
    *is_deleted = row.values != NULL &&
                  row.values[schema_field(save->object, "IsDeleted")->index].integer != 0;
    return true;
}

static bool remove_record(struct save *save, const char *id, bool is_hard, struct error *err)
{
    struct removal removal = {.save = save, .is_hard = is_hard};
    bool is_deleted = false;

    if (!find_victim(save, id, &is_deleted, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    if (is_deleted)
        errors_add(&save->errors, "ENTITY_IS_DELETED", "", "entity is deleted");
    else if (!save->object->is_deletable)
        errors_add(&save->errors, "INSUFFICIENT_ACCESS_OR_READONLY", "",
                   "entity type %s does not support delete", save->object->name);
    else
        locks_check(save, NULL);
    if (errors_is_empty(&save->errors))
        rules_check_row(save, NULL);
    if (!errors_is_empty(&save->errors))
        return true;
    removal.root = save->id;
    removal.now = arena_strdup(save->arena, times_format_datetime(org_stamp(save->org)).text);
    append_victim(&removal, save->object, save->id);
    for (struct victim *each = removal.last; each != NULL; each = each->next)
        if (!mark_deleted(&removal, each, err) || !follow_links(&removal, each, err))
            return false;
    return true;
}

bool removal_delete(struct save *save, const char *id, struct error *err)
{
    return remove_record(save, id, false, err);
}

bool removal_undelete(struct save *save, const char *id, struct error *err)
{
    const struct schema *schema = save->org->schema;
    char sql[SQL_BYTES];
    bool is_deleted = false;

    if (!find_victim(save, id, &is_deleted, err))
        return false;
    if (!is_deleted && errors_is_empty(&save->errors))
        errors_add(&save->errors, "UNDELETE_FAILED", "", "Entity is not in the recycle bin");
    if (!errors_is_empty(&save->errors))
        return true;
    const char *now = arena_strdup(save->arena, times_format_datetime(org_stamp(save->org)).text);
    struct value values[] = {value_text(now), value_text(save->id)};
    for (size_t i = 0; i < schema_count(schema); i++) {
        snprintf(sql, sizeof(sql),
                 "update \"%s\" set \"IsDeleted\" = 0, \"_deleted_with\" = null, "
                 "\"SystemModstamp\" = ?1, \"LastModifiedDate\" = ?1 "
                 "where \"IsDeleted\" = 1 and (\"_deleted_with\" = ?2 or \"Id\" = ?2)",
                 schema_at(schema, i)->name);
        if (!events_records_restored(save, schema_at(schema, i), save->id, err) ||
            !store_change(save->org->store, sql, values, 2, err))
            return false;
    }
    return true;
}

bool removal_purge(struct save *save, const char *id, struct error *err)
{
    char sql[SQL_BYTES];
    bool is_deleted = false;

    if (!find_victim(save, id, &is_deleted, err))
        return false;
    if (errors_is_empty(&save->errors) && !is_deleted && !remove_record(save, id, true, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    struct value value = value_text(save->id);
    snprintf(sql, sizeof(sql), "delete from \"%s\" where \"Id\" = ?", save->object->name);
    return store_change(save->org->store, sql, &value, 1, err);
}
