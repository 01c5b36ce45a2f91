#include "mapping/lifecycle.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "mapping/dependants.h"
#include "mapping/import.h"
#include "mapping/move.h"
#include "mapping/operation.h"
#include "mapping/schema.h"
#include "mapping/store.h"
#include "mapping/transaction.h"

/* One change on its way into the database. */
struct change {
    struct pg *pg;
    const char *schema_name;
    struct arena *arena;
    const struct mapping_list *wanted;
    const struct lifecycle_options *options;
    struct lifecycle_result *result;
    struct mapping_list existing;
    bool is_plan;
    bool has_stopped; /* one that was aborted */
    /* Of the mapping being changed. */
    bool has_new_columns;
    struct dependants_aside aside;
};

static void add_step(struct change *change, const char *action, const char *object_name,
                     const char *detail)
{
    struct lifecycle_result *result = change->result;

    if (result->step_count == result->room) {
        size_t room = result->room * 2 + 16;
        struct lifecycle_step *steps = arena_array(result->arena, struct lifecycle_step, room);
        if (result->step_count > 0)
            memcpy(steps, result->steps, result->step_count * sizeof(*steps));
        result->steps = steps;
        result->room = room;
    }
    result->steps[result->step_count++] = (struct lifecycle_step){
        action, arena_strdup(result->arena, object_name), arena_strdup(result->arena, detail)};
}

#define step(change, action, mapping, ...)                                                         \
    add_step(change, action, (mapping)->object_name, arena_printf((change)->arena, __VA_ARGS__))

/* Names all tables that are in the way, before anything is made. */
static bool check_tables(struct change *change, struct error *err)
{
    struct import_problems problems = {.arena = change->arena};

    for (size_t i = 0; i < change->wanted->count; i++) {
        const struct mapping *wanted = &change->wanted->items[i];
        const struct mapping *old = mapping_find_by_object(&change->existing, wanted->object_name);
        bool is_there = false;
        if (wanted->is_orphan || (old != NULL && !old->is_orphan))
            continue;
        if (!schema_has_relation(change->pg, change->schema_name, wanted->table_name, &is_there,
                                 err))
            return false;
        if (is_there)
            import_problem(&problems,
                           "%s.%s exists already and was not made by pgforce: rename or drop it, "
                           "or choose another schema",
                           change->schema_name, wanted->table_name);
    }
    return import_problems_end(&problems, "nothing was imported", err);
}

static bool insert_fields(struct change *change, const struct mapping *mapping, struct error *err)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!store_insert_field(change->pg, mapping->id, &mapping->fields[i], true, err))
            return false;
    return true;
}

/* The indexes that every table has are part of it. */
static void step_create_table(struct change *change, const struct mapping *wanted)
{
    const char *columns = "";

    for (size_t i = 0; i < wanted->field_count; i++)
        columns = arena_printf(change->arena, "%s, %s %s", columns, wanted->fields[i].column_name,
                               wanted->fields[i].column_type);
    step(change, "create table", wanted, "%s.%s, %s, with %zu columns: id%s, _hc_lastop, _hc_err",
         change->schema_name, wanted->table_name, mapping_access_name(wanted->access),
         wanted->field_count + 3, columns);
    for (size_t i = 0; i < wanted->index_count; i++)
        step(change, "create index", wanted, "on %s%s", wanted->indexes[i].column_name,
             wanted->indexes[i].is_unique ? ", unique" : "");
    step(change, "load", wanted, "all records%s%s", wanted->filter != NULL ? " where " : "",
         wanted->filter != NULL ? wanted->filter : "");
}

static bool note_appearance(struct change *change, const struct mapping *mapping, struct error *err)
{
    const struct move move = {.mapping_id = mapping->id,
                              .event = mapping->is_orphan ? STATE_EDIT : STATE_APPEAR,
                              .to = mapping->state,
                              .description = mapping->state_description,
                              .may_stay = mapping->is_orphan};
    bool is_made;

    return move_try(change->pg, &move, &is_made, err) &&
           (is_made ||
            error_set(err, ERROR_RETRY, "its state changes at the same time: try again"));
}

/* old is an orphan that has found its object, or NULL. */
static bool create_mapping(struct change *change, const struct mapping *old, struct mapping *wanted,
                           struct error *err)
{
    change->result->created++;
    if (wanted->is_orphan)
        step(change, "keep without table", wanted, "%s", wanted->state_description);
    else
        step_create_table(change, wanted);
    if (change->is_plan)
        return true;
    wanted->id = old != NULL ? old->id : 0;
    bool is_stored =
        old != NULL ? store_update(change->pg, wanted, err) && note_appearance(change, wanted, err)
                    : store_insert(change->pg, wanted, err);
    return is_stored && (wanted->is_orphan || (insert_fields(change, wanted, err) &&
                                               schema_create_table(change->pg, wanted, err) &&
                                               schema_follow_truncate(change->pg, wanted, err)));
}

static bool is_in_the_way(const struct change *change, const struct dependant *dependant)
{
    return !dependant->is_plain_view || !change->options->recreates_views;
}

/* What users have made of a column is named before it is touched, and stops us unless it can be
 * made again. */
static bool see_to_dependants(struct change *change, const struct dependants_column *column,
                              struct error *err)
{
    struct dependants found;

    if (!dependants_read(change->pg, column, change->arena, &found, err))
        return false;
    for (size_t i = 0; i < found.count; i++) {
        const struct dependant *each = &found.items[i];
        bool is_blocked = is_in_the_way(change, each);

        step(change, is_blocked ? "blocked by" : "make again", column->mapping,
             "%s %s on column %s", each->kind, each->name, column->name);
        if (is_blocked && !change->is_plan)
            return error_set(err, ERROR_CONFIG,
                             "column %s cannot be changed: the %s %s depends on it; drop that, and"
                             " make it again afterwards%s",
                             column->name, each->kind, each->name,
                             each->is_plain_view ? ", or use --recreate-views" : "");
    }
    return change->is_plan || found.count == 0 ||
           dependants_put_aside(change->pg, column, &change->aside, err);
}

static bool drop_column(struct change *change, const struct mapping *mapping,
                        const struct mapping_field *field, struct error *err)
{
    step(change, "drop column", mapping, "%s", field->column_name);
    if (!see_to_dependants(change, &(struct dependants_column){mapping, field->column_name, true},
                           err))
        return false;
    return change->is_plan ||
           (schema_drop_column(change->pg, mapping, field, err) &&
            store_delete_field(change->pg, mapping->id, field->column_name, err));
}

static bool add_column(struct change *change, const struct mapping *mapping,
                       const struct mapping_field *field, struct error *err)
{
    step(change, "add column", mapping, "%s %s", field->column_name, field->column_type);
    change->has_new_columns = true;
    return change->is_plan || (schema_add_column(change->pg, mapping, field, err) &&
                               store_insert_field(change->pg, mapping->id, field, false, err));
}

static bool is_same(const char *left, const char *right)
{
    return left == right || (left != NULL && right != NULL && strcmp(left, right) == 0);
}

static bool is_same_field(const struct mapping_field *old, const struct mapping_field *field)
{
    return is_same(old->field_name, field->field_name) && old->type == field->type &&
           is_same(old->column_type, field->column_type) &&
           is_same(old->soql_path, field->soql_path) &&
           old->is_createable == field->is_createable &&
           old->is_updateable == field->is_updateable &&
           old->is_calculated == field->is_calculated && is_same(old->mask, field->mask) &&
           is_same(old->relationship_name, field->relationship_name) &&
           is_same(old->reference_object, field->reference_object) &&
           is_same(old->reference_field, field->reference_field);
}

/*
 * Text grows in place, and a shorter text keeps its column. A column that cannot take the new type
 * is made anew, or kept: then with the old field type, because values are written by the column's.
 */
static bool change_column(struct change *change, const struct mapping *mapping,
                          const struct mapping_field *old, const struct mapping_field *wanted,
                          struct error *err)
{
    struct mapping_field field = *wanted;
    bool is_text = schema_is_text(old->column_type) && schema_is_text(wanted->column_type);
    bool is_kept = strcmp(old->column_type, wanted->column_type) == 0;

    if (!is_kept && !is_text && change->options->readds)
        return drop_column(change, mapping, old, err) && add_column(change, mapping, wanted, err);
    if (!is_kept && schema_is_wider(old->column_type, wanted->column_type)) {
        step(change, "widen column", mapping, "%s from %s to %s", field.column_name,
             old->column_type, field.column_type);
        if (!see_to_dependants(change,
                               &(struct dependants_column){mapping, field.column_name, false}, err))
            return false;
        if (!change->is_plan && !schema_widen_column(change->pg, mapping, &field, err))
            return false;
    } else if (!is_kept) {
        field.column_type = old->column_type;
        field.type = is_text ? field.type : old->type;
    }
    if (is_same_field(old, &field))
        return true;
    if (is_same(old->column_type, field.column_type))
        step(change, "change field", mapping, "%s", field.field_name);
    return change->is_plan || store_update_field(change->pg, mapping->id, &field, err);
}

static bool change_columns(struct change *change, const struct mapping *old,
                           const struct mapping *wanted, struct error *err)
{
    for (size_t i = 0; i < old->field_count; i++) {
        const struct mapping_field *field = &old->fields[i];
        if (mapping_field_by_column(wanted, field->column_name) == NULL &&
            !drop_column(change, wanted, field, err))
            return false;
    }
    for (size_t i = 0; i < wanted->field_count; i++) {
        const struct mapping_field *field = &wanted->fields[i];
        const struct mapping_field *before = mapping_field_by_column(old, field->column_name);
        if (!(before != NULL ? change_column(change, wanted, before, field, err)
                             : add_column(change, wanted, field, err)))
            return false;
    }
    return true;
}

static bool has_index(const struct mapping *mapping, const struct mapping_index *index)
{
    for (size_t i = 0; i < mapping->index_count; i++)
        if (strcmp(mapping->indexes[i].column_name, index->column_name) == 0 &&
            mapping->indexes[i].is_unique == index->is_unique)
            return true;
    return schema_needs_index(mapping, index);
}

/* Only those that Connect's own way of naming shows to be ours; the user's stay. */
static bool change_indexes(struct change *change, const struct mapping *old,
                           const struct mapping *wanted, struct error *err)
{
    for (size_t i = 0; i < old->index_count; i++) {
        const struct mapping_index *index = &old->indexes[i];
        if (has_index(wanted, index))
            continue;
        step(change, "drop index", wanted, "on %s", index->column_name);
        if (!change->is_plan && !schema_drop_index(change->pg, wanted, index, err))
            return false;
    }
    for (size_t i = 0; i < wanted->index_count; i++)
        if (!has_index(old, &wanted->indexes[i]))
            step(change, "create index", wanted, "on %s%s", wanted->indexes[i].column_name,
                 wanted->indexes[i].is_unique ? ", unique" : "");
    return true;
}

static void decref_json(json_t **json)
{
    json_decref(*json);
}

/* The config without what the server sets in an export: that is no change. */
static json_t *load_config(const char *text)
{
    json_t *config = json_loads(text, 0, NULL);

    json_object_del(config, "applied_at");
    json_object_del(config, "revision");
    return config;
}

static bool is_same_config(const char *left, const char *right)
{
    json_t *a __attribute__((cleanup(decref_json))) = load_config(left);
    json_t *b __attribute__((cleanup(decref_json))) = load_config(right);

    return json_equal(a, b);
}

static void change_settings(struct change *change, const struct mapping *old,
                            const struct mapping *wanted)
{
    if (old->access != wanted->access)
        step(change, "change access", wanted, "to %s", mapping_access_name(wanted->access));
    if (!is_same(old->upsert_field, wanted->upsert_field))
        step(change, "change unique identifier", wanted, "to %s",
             wanted->upsert_field != NULL ? wanted->upsert_field : "none");
    if (!is_same(old->filter, wanted->filter))
        step(change, "change filter", wanted, "to %s",
             wanted->filter != NULL ? wanted->filter : "none");
    if (!is_same(old->filter, wanted->filter))
        step(change, "load", wanted, "all records, in place");
}

static bool is_first_loading(const struct mapping *mapping)
{
    return strcmp(mapping->state, "INITIAL") == 0 || strcmp(mapping->state, "RELOAD_TABLE") == 0;
}

/* A load under way goes on, unless it reads by another filter; what is filled afterwards is told by
 * the fields. */
static bool follow_up_state(struct change *change, const struct mapping *old,
                            const struct mapping *wanted, struct error *err)
{
    struct move move = {.mapping_id = old->id, .event = STATE_EDIT, .may_stay = true};
    bool is_loaded;
    bool is_made;

    if (!schema_is_loaded(change->pg, wanted, &is_loaded, err))
        return false;
    if (!is_same(old->filter, wanted->filter)) {
        move.to = "RELOAD_TABLE";
        move.operation = "RELOAD";
    } else if (is_first_loading(old)) {
        return true;
    } else {
        move.to = !is_loaded                          ? "INITIAL"
                  : strcmp(old->state, "RESYNC") == 0 ? "RESYNC"
                                                      : "DATA_SYNCED";
    }
    return move_try(change->pg, &move, &is_made, err) &&
           (is_made ||
            error_set(err, ERROR_RETRY, "its state changes at the same time: try again"));
}

static bool follow_up(struct change *change, const struct mapping *old, struct mapping *wanted,
                      struct error *err)
{
    return store_update(change->pg, wanted, err) && follow_up_state(change, old, wanted, err) &&
           schema_follow_truncate(change->pg, wanted, err) &&
           (is_first_loading(old) || schema_create_indexes(change->pg, wanted, err));
}

static bool change_mapping(struct change *change, const struct mapping *old, struct mapping *wanted,
                           struct error *err)
{
    size_t before = change->result->step_count;

    wanted->id = old->id;
    wanted->table_name = old->table_name;
    change->has_new_columns = false;
    change->aside = (struct dependants_aside){.arena = change->arena};
    if (!change_columns(change, old, wanted, err) ||
        !dependants_restore(change->pg, &change->aside, err) ||
        !change_indexes(change, old, wanted, err))
        return false;
    change_settings(change, old, wanted);
    if (change->has_new_columns)
        step(change, "load", wanted, "the new columns, in the background");
    /* Saving an edit is a way out of ABORTED, as in Heroku Connect; applying a file twice is not.
     */
    bool has_stopped = change->options->readds && strcmp(old->state, "ABORTED") == 0;
    if (change->result->step_count == before && (!is_same_config(old->config, wanted->config) ||
                                                 !is_same_config(old->extra, wanted->extra)))
        step(change, "change settings", wanted, "%s",
             is_same_config(old->config, wanted->config) ? "of the file's entry"
                                                         : "of the mapping");
    if (change->result->step_count == before && !has_stopped) {
        change->result->unchanged++;
        return true;
    }
    change->has_stopped = change->has_stopped || has_stopped;
    change->result->changed++;
    return change->is_plan || follow_up(change, old, wanted, err);
}

/* What the organisation lacks by now cannot be changed; what is there stays. */
static bool keep_old(struct change *change, const struct mapping *old, const struct mapping *wanted,
                     struct error *err)
{
    if (!is_same_config(old->config, wanted->config))
        return error_set(err, ERROR_CONFIG, "%s cannot be changed: %s", wanted->object_name,
                         wanted->state_description);
    change->result->unchanged++;
    return true;
}

static bool change_orphan(struct change *change, const struct mapping *old, struct mapping *wanted,
                          struct error *err)
{
    if (is_same_config(old->config, wanted->config) && is_same_config(old->extra, wanted->extra)) {
        change->result->unchanged++;
        return true;
    }
    step(change, "change settings", wanted, "of the mapping, still without table");
    change->result->changed++;
    wanted->id = old->id;
    return change->is_plan ||
           (store_update(change->pg, wanted, err) && note_appearance(change, wanted, err));
}

static bool apply_one(struct change *change, const struct mapping *given, struct error *err)
{
    const struct mapping *old = mapping_find_by_object(&change->existing, given->object_name);
    struct mapping wanted = *given;

    wanted.schema_name = change->schema_name;
    if (old == NULL || (old->is_orphan && !wanted.is_orphan))
        return create_mapping(change, old, &wanted, err);
    if (old->is_orphan)
        return change_orphan(change, old, &wanted, err);
    if (wanted.is_orphan)
        return keep_old(change, old, &wanted, err);
    return change_mapping(change, old, &wanted, err);
}

static bool prune(struct change *change, struct error *err)
{
    for (size_t i = 0; i < change->existing.count; i++) {
        const struct mapping *old = &change->existing.items[i];
        if (mapping_find_by_object(change->wanted, old->object_name) != NULL)
            continue;
        change->result->deleted++;
        step(change, "delete mapping", old, "and drop %s.%s", change->schema_name, old->table_name);
        if (!change->is_plan &&
            !operation_forget(change->pg, change->schema_name, old->object_name, false, err))
            return false;
    }
    return true;
}

/* What the file says beside its mappings is kept to be exported again. */
static bool change_connection(struct change *change, struct error *err)
{
    const char *rest = change->options->connection;

    if (rest == NULL)
        return true;
    PGresult *stored PG_RESULT_AUTO =
        pg_query(change->pg,
                 "select from pgforce.connection where schema_name = $1"
                 " and coalesce(imported, '{}') = $2::jsonb",
                 PG_PARAMS(change->schema_name, rest), err);
    if (stored == NULL || PQntuples(stored) > 0)
        return stored != NULL;
    add_step(change, "change connection", change->schema_name, "what the file says of it");
    return change->is_plan ||
           pg_run(change->pg,
                  "update pgforce.connection"
                  " set imported = $2, features = coalesce($2::jsonb #> '{connection,features}',"
                  " '{}')"
                  " where schema_name = $1",
                  PG_PARAMS(change->schema_name, rest), err);
}

static bool apply_all(void *context, struct error *err)
{
    struct change *change = context;
    struct lifecycle_result *result = change->result;

    result->step_count = 0;
    result->created = result->changed = result->unchanged = result->deleted = 0;
    if (!mapping_load_every(change->pg, change->schema_name, change->arena, &change->existing,
                            err) ||
        !check_tables(change, err))
        return false;
    for (size_t i = 0; i < change->wanted->count; i++)
        if (!apply_one(change, &change->wanted->items[i], err))
            return error_prefix(err, "mapping %s", change->wanted->items[i].object_name);
    return (!change->options->prunes || prune(change, err)) && change_connection(change, err);
}

/* Over one snapshot: another change that ends meanwhile is seen whole or not at all. */
static bool plan(struct change *change, struct error *err)
{
    bool is_ok = pg_script(change->pg, "begin isolation level repeatable read read only", err) &&
                 apply_all(change, err);

    pg_rollback(change->pg);
    return is_ok;
}

/* Planned first: where nothing is to be done, nobody has to wait for anybody. */
static bool plan_then_act(struct change *change, struct error *err)
{
    struct transaction transaction = {change->schema_name, apply_all, change,
                                      change->options->reason};

    change->is_plan = true;
    if (!plan(change, err))
        return false;
    change->is_plan = change->options->is_plan;
    bool has_work = change->result->step_count > 0 || change->has_stopped;
    return change->is_plan || !has_work || transaction_run(change->pg, &transaction, err);
}

bool lifecycle_apply(struct pg *pg, const struct mapping_list *list,
                     const struct lifecycle_options *options, struct lifecycle_result *result,
                     struct error *err)
{
    struct change change = {.pg = pg,
                            .schema_name = options->schema_name,
                            .arena = result->arena,
                            .wanted = list,
                            .options = options,
                            .result = result};

    return plan_then_act(&change, err);
}
