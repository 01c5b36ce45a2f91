#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbound/receipt.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct sf_row_result done = {.outcome = SF_OUTCOME_SUCCESS, .id = "001", .code = ""};
static const struct sf_row_result bad = {.outcome = SF_OUTCOME_DATA, .id = "", .code = "BAD"};
static const struct sf_row_result taken = {
    .outcome = SF_OUTCOME_ALREADY_DONE, .id = "a01", .code = "DUPLICATE_VALUE"};
static const struct sf_row_result undone = {.outcome = SF_OUTCOME_ROLLED_BACK, .id = ""};

enum expected { GOES_AGAIN, HAS_RECORDS_ROW, HAS_RECEIPTS_ROW, IS_TAKEN, HAS_NO_ROW };

/* An answer of two records and their receipts, and what it says of the first. */
struct story {
    enum sf_fate fate;
    enum sf_outcome outcome;
    enum sf_outcome record_step; /* as a whole */
    const struct sf_row_result *records[2];
    enum sf_outcome receipt_step;
    const struct sf_row_result *receipts[2];
    enum expected expected;
};

static const struct story stories[] = {
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&done, &done},
     SF_OUTCOME_SUCCESS,
     {&done, &done},
     HAS_RECORDS_ROW},
    /* Refused by itself, or for the other's sake. */
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&bad, &undone},
     SF_OUTCOME_SUCCESS,
     {&undone, &undone},
     HAS_RECORDS_ROW},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&undone, &bad},
     SF_OUTCOME_SUCCESS,
     {&undone, &undone},
     GOES_AGAIN},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&undone, &undone},
     SF_OUTCOME_SUCCESS,
     {&undone, &taken},
     GOES_AGAIN},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&undone, &undone},
     SF_OUTCOME_SUCCESS,
     {&taken, &undone},
     IS_TAKEN},
    /* The record's own word goes before its receipt's; a receipt of no record has none. */
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&taken, &undone},
     SF_OUTCOME_SUCCESS,
     {&bad, &undone},
     HAS_RECORDS_ROW},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&undone, &undone},
     SF_OUTCOME_SUCCESS,
     {&bad, &undone},
     HAS_RECEIPTS_ROW},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_SUCCESS,
     {&undone, &bad},
     SF_OUTCOME_SUCCESS,
     {&bad, &undone},
     GOES_AGAIN},
    /* A step of two refused as one: which of them it was is not known. */
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_DATA,
     {&bad, &bad},
     SF_OUTCOME_ROLLED_BACK,
     {&undone, &undone},
     GOES_AGAIN},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_ROLLED_BACK,
     {&undone, &undone},
     SF_OUTCOME_DATA,
     {&bad, &bad},
     GOES_AGAIN},
    {SF_ANSWERED,
     SF_OUTCOME_SUCCESS,
     SF_OUTCOME_PERMISSION,
     {&bad, &bad},
     SF_OUTCOME_ROLLED_BACK,
     {&undone, &undone},
     HAS_RECORDS_ROW},
    /* The call as a whole. */
    {SF_NOT_DONE,
     SF_OUTCOME_DATA,
     SF_OUTCOME_UNKNOWN,
     {NULL},
     SF_OUTCOME_UNKNOWN,
     {NULL},
     GOES_AGAIN},
    {SF_NOT_DONE,
     SF_OUTCOME_LIMIT,
     SF_OUTCOME_UNKNOWN,
     {NULL},
     SF_OUTCOME_UNKNOWN,
     {NULL},
     HAS_NO_ROW},
    {SF_IN_DOUBT,
     SF_OUTCOME_UNKNOWN,
     SF_OUTCOME_UNKNOWN,
     {NULL},
     SF_OUTCOME_UNKNOWN,
     {NULL},
     HAS_NO_ROW},
};

static void fill_step(struct sf_batch *step, enum sf_outcome outcome,
                      const struct sf_row_result *const rows[2], struct sf_row_result results[2])
{
    step->outcome = outcome;
    if (rows[0] == NULL)
        return;
    for (size_t i = 0; i < 2; i++)
        results[i] = *rows[i];
    step->results = results;
    step->result_count = 2;
}

static enum expected read_first(const struct story *story)
{
    json_t *records = json_pack("[{}, {}]");
    struct sf_row_result results[2][2];
    struct sf_batch steps[2] = {{.records = records}, {.records = records}};
    struct sf_composite answer = {
        .steps = steps, .count = 2, .fate = story->fate, .outcome = story->outcome};
    struct receipt_item item = {0};

    fill_step(&steps[0], story->record_step, story->records, results[0]);
    fill_step(&steps[1], story->receipt_step, story->receipts, results[1]);
    bool goes_again = receipt_read(&answer, 0, &item);
    json_decref(records);
    if (goes_again) {
        assert_int_equal(item.batch.fate, SF_NOT_DONE);
        return GOES_AGAIN;
    }
    assert_int_equal(item.batch.fate, story->fate);
    if (item.is_taken) {
        /* The id it names is the receipt's. */
        assert_string_equal(item.row.id, "");
        return IS_TAKEN;
    }
    if (!item.has_row)
        return HAS_NO_ROW;
    return item.row.outcome == story->records[0]->outcome ? HAS_RECORDS_ROW : HAS_RECEIPTS_ROW;
}

static void an_answer_says_of_each_item_what_became_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(stories); i++)
        if (read_first(&stories[i]) != stories[i].expected)
            fail_msg("story %zu", i);
}

static void a_call_of_one_that_was_refused_is_that_ones(void **state)
{
    json_t *records = json_pack("[{}]");
    struct sf_batch steps[2] = {{.records = records}, {.records = records}};
    struct sf_composite answer = {
        .steps = steps, .count = 2, .fate = SF_NOT_DONE, .outcome = SF_OUTCOME_DATA};
    struct receipt_item item = {0};

    (void)state;
    assert_false(receipt_read(&answer, 0, &item));
    assert_int_equal(item.batch.outcome, SF_OUTCOME_DATA);
    json_decref(records);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_says_of_each_item_what_became_of_it),
        cmocka_unit_test(a_call_of_one_that_was_refused_is_that_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
