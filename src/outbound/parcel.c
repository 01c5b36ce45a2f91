#include "outbound/parcel.h"

#include <string.h>

#include "base/buf.h"
#include "outbound/trace.h"
#include "sf/id.h"

enum { SQL_MAX_BYTES = 1024 * 1024, IDS_MAX_BYTES = 1024 * 1024 };

/* Values being gathered, one per column. */
struct gathering {
    const struct parcel_world *world;
    struct parcel *parcel;
    struct hstore_pair *pairs;
    size_t count;
};

static const struct fold *fold_of(const struct parcel_world *world, size_t index)
{
    return world->plan->folds != NULL ? &world->plan->folds[index] : NULL;
}

/* An INSERT that was over and goes again carries the row as it is now. */
static bool is_again(const struct parcel_world *world, const struct parcel *parcel)
{
    const struct fold *fold = fold_of(world, parcel->index);

    return parcel->entry->was_settled || (fold != NULL && fold->is_revived);
}

/* An INSERT whose row may have its record by now, where no earlier attempt can have made it: it
 * goes again, or was made by hand. */
static bool needs_row(const struct parcel_world *world, const struct parcel *parcel)
{
    const struct queue_entry *entry = parcel->entry;

    return (is_again(world, parcel) || entry->commit_lsn == 0) && !entry->was_in_doubt &&
           strcmp(entry->action, "INSERT") == 0;
}

/* select id, sfid, column::text, ...: as the log would have them. */
static void write_select(const struct mapping *mapping, struct buf *sql)
{
    buf_init(sql, SQL_MAX_BYTES);
    buf_text(sql, "select id, sfid");
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(sql, ", ");
        pg_append_identifier(sql, mapping->fields[i].column_name);
        buf_text(sql, "::text");
    }
    buf_text(sql, " from ");
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
    buf_text(sql, " where id = any($1::integer[])");
}

static void take_row(const struct parcel_world *world, const PGresult *result, int row,
                     struct parcel *parcel)
{
    const struct mapping *mapping = parcel->mapping;
    const char **values = arena_array(world->arena, const char *, mapping->field_count);
    const char *sfid = pg_field(result, row, 1);

    for (size_t i = 0; i < mapping->field_count; i++) {
        const char *text = pg_field(result, row, (int)i + 2);

        values[i] = text != NULL ? arena_strdup(world->arena, text) : NULL;
    }
    if (is_again(world, parcel))
        parcel->row = values;
    if (sfid != NULL)
        parcel->sfid = arena_strdup(world->arena, sfid);
}

/* The rows of one mapping's parcels. */
static bool read_rows_of(const struct parcel_world *world, const struct mapping *mapping,
                         struct parcel *parcels, size_t count, struct error *err)
{
    struct buf ids BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&ids, IDS_MAX_BYTES);
    for (size_t i = 0; i < count; i++)
        if (parcels[i].mapping == mapping && needs_row(world, &parcels[i]))
            pg_append_element(&ids, pg_number(parcels[i].entry->record_id).text);
    if (ids.size_bytes == 0)
        return true;
    pg_end_array(&ids);
    write_select(mapping, &sql);
    PGresult *result PG_RESULT_AUTO = pg_query(world->pg, sql.data, PG_PARAMS(ids.data), err);
    if (result == NULL)
        return error_prefix(err, "reading rows of %s again", mapping->table_name);
    for (int row = 0; row < PQntuples(result); row++)
        for (size_t i = 0; i < count; i++)
            if (parcels[i].mapping == mapping && needs_row(world, &parcels[i]) &&
                parcels[i].entry->record_id == pg_field_int64(result, row, 0))
                take_row(world, result, row, &parcels[i]);
    return true;
}

bool parcel_read_rows(const struct parcel_world *world, struct parcel *parcels, size_t count,
                      struct error *err)
{
    const struct mapping *done = NULL;

    for (size_t i = 0; i < count; i++) {
        if (parcels[i].mapping == done || !needs_row(world, &parcels[i]))
            continue;
        done = parcels[i].mapping;
        if (!read_rows_of(world, done, parcels, count, err))
            return false;
    }
    return true;
}

static void put(struct gathering *gathering, const struct hstore_pair *pair)
{
    for (size_t i = 0; i < gathering->count; i++)
        if (strcmp(gathering->pairs[i].key, pair->key) == 0) {
            gathering->pairs[i] = *pair;
            return;
        }
    gathering->pairs[gathering->count++] = *pair;
}

static void drop(struct gathering *gathering, const char *key)
{
    for (size_t i = 0; i < gathering->count; i++)
        if (strcmp(gathering->pairs[i].key, key) == 0)
            gathering->pairs[i] = gathering->pairs[--gathering->count];
}

static void gather_row(struct gathering *gathering)
{
    const struct mapping *mapping = gathering->parcel->mapping;

    gathering->pairs =
        arena_array(gathering->world->arena, struct hstore_pair, mapping->field_count);
    for (size_t i = 0; i < mapping->field_count; i++) {
        const char *value = gathering->parcel->row[i];

        gathering->pairs[gathering->count++] = (struct hstore_pair){
            .key = mapping->fields[i].column_name,
            .value = value,
            .value_bytes = value != NULL ? strlen(value) : 0,
        };
    }
}

/* By the name under which a record has it; "" for what no record has. */
static const char *name_in_record(const struct mapping *mapping, const char *column)
{
    const struct mapping_field *field = mapping_field_by_column(mapping, column);

    if (field == NULL)
        return "";
    return field->relationship_name != NULL ? field->relationship_name : field->field_name;
}

/* Of an INSERT whose record is there: what the first step has not sent or, when the second is
 * repeated, the same again. */
static void keep_second_step(struct gathering *gathering)
{
    const struct parcel *parcel = gathering->parcel;
    json_t *body = parcel->entry->body != NULL ? json_loads(parcel->entry->body, 0, NULL) : NULL;
    bool is_repeated = json_object_get(body, "id") != NULL;
    size_t kept = 0;

    for (size_t i = 0; body != NULL && i < gathering->count; i++) {
        const char *name = name_in_record(parcel->mapping, gathering->pairs[i].key);
        bool was_in_body = json_object_get(body, name) != NULL;

        if (gathering->pairs[i].value != NULL && was_in_body == is_repeated)
            gathering->pairs[kept++] = gathering->pairs[i];
    }
    if (body != NULL)
        gathering->count = kept;
    json_decref(body);
}

static void gather_own(struct gathering *gathering)
{
    const struct plan *plan = gathering->world->plan;
    const struct parcel *parcel = gathering->parcel;
    const struct plan_entry *own = &plan->entries[parcel->index];
    size_t room = own->pair_count;

    for (size_t at = plan_next(plan, parcel->index); at != 0; at = plan_next(plan, at - 1))
        room += plan->entries[at - 1].pair_count;
    gathering->pairs = arena_array(gathering->world->arena, struct hstore_pair, room);
    if (own->pair_count > 0)
        memcpy(gathering->pairs, own->pairs, own->pair_count * sizeof(*own->pairs));
    gathering->count = own->pair_count;
    if (parcel->action == DELIVERY_UPDATE && strcmp(parcel->entry->action, "INSERT") == 0)
        keep_second_step(gathering);
}

/* The row has it all; otherwise the entry's values, and over them those of what goes with it. */
static void gather_values(struct gathering *gathering)
{
    const struct plan *plan = gathering->world->plan;

    if (gathering->parcel->row != NULL) {
        gather_row(gathering);
        return;
    }
    gather_own(gathering);
    for (size_t at = plan_next(plan, gathering->parcel->index); at != 0;
         at = plan_next(plan, at - 1))
        for (size_t i = 0; i < plan->entries[at - 1].pair_count; i++)
            put(gathering, &plan->entries[at - 1].pairs[i]);
}

/* References to what is not in Salesforce yet: another request will carry them. */
static void leave_out_early(struct gathering *gathering)
{
    const struct plan *plan = gathering->world->plan;
    size_t index = gathering->parcel->index;
    uint64_t early = plan->round.early_references[index];

    for (size_t i = 0; i < plan->orders[index].reference_count && i < 64; i++)
        if ((early >> i & 1) != 0) {
            drop(gathering, plan->entries[index].reference_fields[i]->column_name);
            gathering->parcel->has_rest = true;
        }
}

static void end_unsent(struct parcel *parcel, enum delivery_state state, const char *message)
{
    parcel->is_to_be_sent = false;
    parcel->state = state;
    parcel->message = message;
}

static void gather(struct gathering *gathering)
{
    gather_values(gathering);
    if (gathering->parcel->action == DELIVERY_INSERT)
        leave_out_early(gathering);
}

/* Nothing of it can be sent, or nothing is left. */
static void end_empty(const struct parcel_world *world, struct parcel *parcel, size_t pair_count)
{
    bool has_left = world->plan->entries[parcel->index].left_count > 0;

    json_decref(parcel->record.json);
    parcel->record.json = NULL;
    if (strcmp(parcel->entry->action, "INSERT") == 0)
        end_unsent(parcel, DELIVERY_SUCCESS, NULL);
    else if (pair_count == 0 && has_left)
        end_unsent(parcel, DELIVERY_MERGED, NULL);
    else
        end_unsent(parcel, DELIVERY_IGNORED,
                   "pgforce: none of the changed columns can be written to Salesforce");
}

/* A create whose answer could be lost for good, in a mapping that wants none. */
static void refuse_unprotected(struct parcel *parcel)
{
    json_decref(parcel->record.json);
    parcel->record.json = NULL;
    end_unsent(parcel, DELIVERY_FAILED,
               "pgforce: not sent without a value of the unique identifier, as the mapping's"
               " lost_create wants it");
}

/* What may have been done leaves what it left the first time, whatever the mapping says by now. */
static bool repeats_trace(const struct parcel_world *world, struct parcel *parcel)
{
    if (!parcel->entry->was_in_doubt || parcel->entry->trace == NULL ||
        (parcel->entry->marker_field == NULL && world->has_no_receipts))
        return false;
    parcel->trace = parcel->entry->trace;
    parcel->marker_field = parcel->entry->marker_field;
    return true;
}

/* A create without a unique identifier. */
static void protect(const struct parcel_world *world, struct parcel *parcel)
{
    enum delivery_lost_create lost = DELIVERY_LOST_PROBE;

    delivery_lost_create_parse(parcel->mapping->lost_create, &lost);
    if (lost == DELIVERY_LOST_REFUSE) {
        refuse_unprotected(parcel);
        return;
    }
    if (!repeats_trace(world, parcel) && lost == DELIVERY_LOST_MARKER)
        parcel->marker_field = parcel->mapping->marker_field;
    if (parcel->trace == NULL && (parcel->marker_field != NULL ||
                                  (lost == DELIVERY_LOST_RECEIPT && !world->has_no_receipts)))
        parcel->trace = trace_new(world->arena);
    if (parcel->marker_field != NULL)
        json_object_set_new(parcel->record.json, parcel->marker_field, json_string(parcel->trace));
}

static void make_record(const struct parcel_world *world, struct parcel *parcel)
{
    struct gathering gathering = {.world = world, .parcel = parcel};
    struct error err = {0};

    if (parcel->action != DELIVERY_DELETE)
        gather(&gathering);
    parcel->pairs = gathering.pairs;
    parcel->pair_count = gathering.count;
    const struct batch_source source = {parcel->mapping, parcel->action, parcel->sfid,
                                        gathering.pairs, gathering.count};
    if (!batch_make_record(&source, world->arena, &parcel->record, &err))
        end_unsent(parcel, DELIVERY_FAILED, arena_strdup(world->arena, err.message));
    else if (parcel->action == DELIVERY_UPDATE && parcel->record.field_count == 0)
        end_empty(world, parcel, gathering.count);
    else if (parcel->action == DELIVERY_INSERT && parcel->record.external_id == NULL)
        protect(world, parcel);
}

void parcel_fill(const struct parcel_world *world, struct parcel *parcel,
                 enum delivery_action action)
{
    const struct plan_entry *planned = &world->plan->entries[parcel->index];
    const char *problem = planned->problem;
    bool has_new_sfid = parcel->sfid != NULL && parcel->entry->sfid == NULL;

    parcel->action = action;
    parcel->is_to_be_sent = true;
    if (parcel->sfid == NULL)
        parcel->sfid = parcel->entry->sfid;
    if (planned->is_over)
        end_unsent(parcel, planned->over_as, planned->over_why);
    else if (action != DELIVERY_INSERT && parcel->sfid == NULL)
        end_unsent(parcel, action == DELIVERY_DELETE ? DELIVERY_IGNORED : DELIVERY_FAILED,
                   "pgforce: the row has no sfid: Salesforce never had this record");
    else if (action != DELIVERY_INSERT && parcel->entry->sfid != NULL &&
             !sf_id_is_valid(parcel->entry->sfid))
        end_unsent(parcel, DELIVERY_FAILED, "pgforce: the row's sfid is no id of Salesforce's");
    else if (action == DELIVERY_INSERT && has_new_sfid)
        end_unsent(parcel, DELIVERY_NEW, NULL); /* the record is there: again, as an update */
    else if (problem != NULL && parcel->row == NULL)
        end_unsent(parcel, DELIVERY_FAILED,
                   arena_printf(world->arena, "pgforce: the entry's values: %s", problem));
    else
        make_record(world, parcel);
}
