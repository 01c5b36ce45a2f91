#include "outbound/receipt.h"

#include <jansson.h>

#include "mapping/lost_create.h"
#include "sf/composite.h"

enum { RECORDS, RECEIPTS, STEP_COUNT };

/* Items that go in one call. */
struct group {
    struct receipt_item **items;
    size_t count;
};

/* ---- asking ---- */

static json_t *make_receipt(const struct receipt_item *item, const char *reference)
{
    json_t *receipt = sf_record_new(LOST_CREATE_RECEIPT);

    json_object_set_new(receipt, LOST_CREATE_KEY, json_string(item->parcel.trace));
    json_object_set_new(receipt, LOST_CREATE_RECORD, json_string(reference));
    return receipt;
}

static void fill_call(const struct group *group, struct sf_composite *call, struct arena *arena)
{
    json_t *records = json_array();
    json_t *receipts = json_array();

    for (size_t i = 0; i < group->count; i++) {
        const char *reference = sf_composite_reference(RECORDS, i, group->count == 1, arena);

        json_array_append(records, group->items[i]->parcel.record.json);
        json_array_append_new(receipts, make_receipt(group->items[i], reference));
    }
    call->count = STEP_COUNT;
    call->steps = arena_array(arena, struct sf_batch, STEP_COUNT);
    call->steps[RECORDS] = (struct sf_batch){.write = SF_CREATE, .records = records};
    call->steps[RECEIPTS] = (struct sf_batch){.write = SF_CREATE, .records = receipts};
}

static void free_calls(struct sf_composite *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < STEP_COUNT; j++)
            json_decref((json_t *)(uintptr_t)calls[i].steps[j].records);
}

/* Of one object each, and no more than limit. */
static size_t make_groups(struct receipt_item **items, size_t count, size_t limit,
                          struct group *groups)
{
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || groups[made - 1].count == limit ||
                        items[i]->parcel.mapping != items[i - 1]->parcel.mapping;

        if (is_first)
            groups[made++] = (struct group){.items = &items[i]};
        groups[made - 1].count++;
    }
    return made;
}

/* ---- answered ---- */

static bool is_refused(const struct sf_row_result *row)
{
    return row->outcome != SF_OUTCOME_SUCCESS && row->outcome != SF_OUTCOME_ROLLED_BACK;
}

static bool has_refused(const struct sf_batch *step)
{
    for (size_t i = 0; i < step->result_count; i++)
        if (is_refused(&step->results[i]))
            return true;
    return false;
}

/* A step of several that was refused as one, maybe for what one of them holds, or because
 * Salesforce does not know a reference into a collection: smaller calls tell. */
static bool is_refused_as_one(const struct sf_batch *step)
{
    return step->result_count > 1 && sf_outcome_is_of_some_record(step->outcome);
}

static void take_batch(const struct sf_composite *answer, struct receipt_item *item)
{
    item->batch.fate = answer->fate;
    item->batch.outcome = answer->outcome;
    item->batch.code = answer->code;
    item->batch.message = answer->message;
    item->batch.retry_after_s = answer->retry_after_s;
    item->has_row = false;
}

/* Nothing of it was done. */
static bool undo(struct receipt_item *item)
{
    item->batch.fate = SF_NOT_DONE;
    item->batch.outcome = SF_OUTCOME_ROLLED_BACK;
    item->batch.message = "rolled back, for another record of the request was refused";
    return true;
}

static bool take_row(const struct sf_row_result *row, struct receipt_item *item)
{
    item->row = *row;
    item->has_row = true;
    return false;
}

static bool take_taken(struct receipt_item *item)
{
    static const char *const no_fields[] = {NULL};

    item->is_taken = true;
    return take_row(&(struct sf_row_result){.outcome = SF_OUTCOME_ALREADY_DONE,
                                            .id = "",
                                            .code = "",
                                            .message = "the record's receipt is there already",
                                            .fields = no_fields},
                    item);
}

bool receipt_read(const struct sf_composite *answer, size_t index, struct receipt_item *item)
{
    const struct sf_batch *records = &answer->steps[RECORDS];
    const struct sf_batch *receipts = &answer->steps[RECEIPTS];

    take_batch(answer, item);
    if (answer->fate == SF_NOT_DONE && json_array_size(records->records) > 1 &&
        sf_outcome_is_of_some_record(answer->outcome))
        return undo(item);
    if (answer->fate != SF_ANSWERED || records->results == NULL || receipts->results == NULL)
        return false;
    const struct sf_row_result *record = &records->results[index];
    const struct sf_row_result *receipt = &receipts->results[index];
    if (is_refused_as_one(records))
        return undo(item);
    if (is_refused(record))
        return take_row(record, item);
    if (is_refused_as_one(receipts))
        return undo(item);
    if (receipt->outcome == SF_OUTCOME_ALREADY_DONE)
        return take_taken(item);
    /* A receipt of a record that was not made says nothing of its own. */
    if (is_refused(receipt) && !has_refused(records))
        return take_row(receipt, item);
    return record->outcome == SF_OUTCOME_SUCCESS ? take_row(record, item) : undo(item);
}

/* Answers how many are to go again; they stand in front. */
static size_t read_groups(const struct group *groups, const struct sf_composite *answers,
                          size_t count, struct receipt_item **open)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < groups[i].count; j++) {
            struct receipt_item *item = groups[i].items[j];

            if (receipt_read(&answers[i], j, item))
                open[left++] = item;
        }
    return left;
}

bool receipt_write(struct sf_session *session, struct receipt_item *items, size_t count,
                   struct arena *arena, struct error *err)
{
    struct receipt_item **open = arena_array(arena, struct receipt_item *, count);
    struct group *groups = arena_array(arena, struct group, count);
    size_t limit = SF_BATCH_RECORDS;
    size_t left = count;

    for (size_t i = 0; i < count; i++)
        open[i] = &items[i];
    while (left > 0 && limit > 0) {
        size_t group_count = make_groups(open, left, limit, groups);
        struct sf_composite *calls = arena_array(arena, struct sf_composite, group_count);
        size_t before = left;

        for (size_t i = 0; i < group_count; i++)
            fill_call(&groups[i], &calls[i], arena);
        bool is_ok = sf_composite_write(session, calls, group_count, arena, err);
        left = read_groups(groups, calls, group_count, open);
        free_calls(calls, group_count);
        if (!is_ok)
            return false;
        if (left == before)
            limit /= 2;
    }
    return true;
}
