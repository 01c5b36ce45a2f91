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

struct receipt_writing {
    struct sf_session *session;
    struct arena *arena;
    struct receipt_item **open; /* those to be sent, or on their way */
    size_t left;
    size_t limit; /* items in a call */
    struct group *groups;
    struct sf_composite *calls; /* in step with the groups */
    size_t group_count;         /* 0: nothing is on its way */
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

static void begin_calls(struct receipt_writing *writing)
{
    writing->group_count =
        make_groups(writing->open, writing->left, writing->limit, writing->groups);
    writing->calls = arena_array(writing->arena, struct sf_composite, writing->group_count);
    for (size_t i = 0; i < writing->group_count; i++) {
        fill_call(&writing->groups[i], &writing->calls[i], writing->arena);
        sf_composite_begin(writing->session, &writing->calls[i]);
    }
}

struct receipt_writing *receipt_begin(struct sf_session *session, struct receipt_item *items,
                                      size_t count, struct arena *arena)
{
    struct receipt_writing *writing = arena_alloc(arena, sizeof(*writing));

    *writing = (struct receipt_writing){
        .session = session,
        .arena = arena,
        .open = arena_array(arena, struct receipt_item *, count),
        .left = count,
        .limit = SF_BATCH_RECORDS,
        .groups = arena_array(arena, struct group, count),
    };
    for (size_t i = 0; i < count; i++)
        writing->open[i] = &items[i];
    begin_calls(writing);
    return writing;
}

bool receipt_is_answered(const struct receipt_writing *writing)
{
    for (size_t i = 0; i < writing->group_count; i++)
        if (!sf_composite_is_answered(&writing->calls[i]))
            return false;
    return true;
}

/* False: some went again, with another token. */
static bool end_calls(struct receipt_writing *writing, bool *is_ok, struct error *err)
{
    bool are_over = true;

    for (size_t i = 0; i < writing->group_count; i++) {
        bool is_over;

        *is_ok =
            sf_composite_end(writing->session, &writing->calls[i], writing->arena, &is_over, err) &&
            *is_ok;
        are_over = are_over && is_over;
    }
    return are_over;
}

bool receipt_take(struct receipt_writing *writing, bool *is_over, struct error *err)
{
    size_t before = writing->left;
    bool is_ok = true;

    *is_over = end_calls(writing, &is_ok, err);
    if (!*is_over)
        return is_ok;
    writing->left =
        read_groups(writing->groups, writing->calls, writing->group_count, writing->open);
    free_calls(writing->calls, writing->group_count);
    writing->group_count = 0;
    if (writing->left == before)
        writing->limit /= 2;
    *is_over = !is_ok || writing->left == 0 || writing->limit == 0;
    if (!*is_over)
        begin_calls(writing);
    return is_ok;
}
