/* spool: transactions in progress come out whole, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "change/change.h"
#include "stream/spool.h"

enum { MAX_STREAM_BYTES = 64 << 20 };

/* A stream that is being written, and what came out of the spool, a word per event. */
struct story {
    struct buf stream;
    struct buf told;
    struct error err;
};

static struct column columns[] = {{.name = "id", .type = "text", .type_oid = 25, .is_key = true}};

static struct relation make_relation(uint32_t id, const char *table)
{
    return (struct relation){.id = id,
                             .schema = "s",
                             .table = table,
                             .columns = columns,
                             .column_count = 1,
                             .replica_identity = 'd'};
}

static int set_up(void **state)
{
    struct story *story = calloc(1, sizeof(*story));

    buf_init(&story->stream, MAX_STREAM_BYTES);
    buf_init(&story->told, MAX_STREAM_BYTES);
    *state = story;
    return 0;
}

static int tear_down(void **state)
{
    struct story *story = *state;

    buf_done(&story->stream);
    buf_done(&story->told);
    free(story);
    return 0;
}

static void add_boundary(struct story *story, enum event_kind kind, uint32_t xid)
{
    const struct transaction transaction = {
        .xid = xid, .end_lsn = xid * 10, .origin = "", .source_position = ""};

    change_pack(&story->stream, &(struct event){.kind = kind, .transaction = &transaction});
}

static void add_start(struct story *story, uint32_t xid, bool is_first)
{
    change_pack(&story->stream, &(struct event){.kind = EVENT_STREAM_START,
                                                .block = {.xid = xid, .is_first = is_first}});
}

static void add_stop(struct story *story)
{
    change_pack(&story->stream, &(struct event){.kind = EVENT_STREAM_STOP});
}

static void add_abort(struct story *story, uint32_t xid, uint32_t subxid)
{
    change_pack(&story->stream, &(struct event){.kind = EVENT_STREAM_ABORT,
                                                .block = {.xid = xid, .subxid = subxid}});
}

static void add_relation(struct story *story, const struct relation *relation)
{
    change_pack(&story->stream, &(struct event){.kind = EVENT_RELATION, .relation = relation});
}

static void add_row(struct story *story, uint32_t relation_id, const char *text, uint32_t subxid)
{
    struct relation relation = make_relation(relation_id, "");
    struct value value = {.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};

    change_pack(&story->stream,
                &(struct event){.kind = EVENT_ROW,
                                .subxid = subxid,
                                .row = {.relation = &relation, .new_values = &value}});
}

static void print(struct buf *told, const struct event *event)
{
    unsigned xid = event->transaction != NULL ? event->transaction->xid : 0;

    switch (event->kind) {
    case EVENT_BEGIN: buf_printf(told, "begin:%u ", xid); break;
    case EVENT_COMMIT: buf_printf(told, "commit:%u ", xid); break;
    case EVENT_RELATION: buf_printf(told, "=%s ", event->relation->table); break;
    case EVENT_ROW:
        buf_printf(told, "%s.%.*s:%u/%u ", event->row.relation->table,
                   (int)event->row.new_values[0].size_bytes, event->row.new_values[0].text, xid,
                   event->seq);
        assert_int_equal(event->subxid, 0);
        break;
    case EVENT_TRUNCATE: buf_printf(told, "truncate:%u ", event->seq); break;
    case EVENT_MESSAGE: buf_printf(told, "message:%u/%u ", xid, event->seq); break;
    default: buf_printf(told, "kind%d ", (int)event->kind); break;
    }
}

/* Reads the stream in small pieces. */
static enum change_result tell(struct story *story)
{
    struct spool *spool = spool_new();
    struct change_reader *reader = change_reader_new();
    enum change_result result = CHANGE_NEED;
    struct event event;

    buf_clear(&story->told);
    for (size_t at = 0; at < story->stream.size_bytes && result == CHANGE_NEED; at += 37) {
        size_t left = story->stream.size_bytes - at;
        assert_true(change_reader_feed(reader, story->stream.data + at, left < 37 ? left : 37,
                                       &story->err));
        while ((result = spool_next(spool, reader, &event, &story->err)) == CHANGE_EVENT)
            print(&story->told, &event);
    }
    change_reader_free(reader);
    spool_free(spool);
    return result;
}

static void assert_told(struct story *story, const char *expected)
{
    assert_int_equal(tell(story), CHANGE_NEED);
    assert_string_equal(story->told.data, expected);
}

static void rows_of_a_transaction_in_progress_come_at_its_commit(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");

    add_start(story, 7, true);
    add_relation(story, &a);
    add_row(story, 1, "one", 0);
    add_stop(story);
    assert_told(story, "");
    add_boundary(story, EVENT_BEGIN, 8);
    add_row(story, 1, "between", 0);
    add_boundary(story, EVENT_COMMIT, 8);
    add_start(story, 7, false);
    add_row(story, 1, "two", 0);
    add_stop(story);
    assert_told(story, "begin:8 =a a.between:8/1 commit:8 ");
    add_boundary(story, EVENT_COMMIT, 7);
    assert_told(story, "begin:8 =a a.between:8/1 commit:8 "
                       "begin:7 a.one:7/1 a.two:7/2 commit:7 ");
}

static void what_is_rolled_back_is_never_seen(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");
    struct relation b = make_relation(2, "b");

    add_start(story, 7, true);
    add_relation(story, &a);
    add_row(story, 1, "kept", 0);
    add_row(story, 1, "sub", 70);
    add_relation(story, &b);
    add_row(story, 2, "inner", 71);
    add_row(story, 1, "sub again", 70);
    add_stop(story);
    add_abort(story, 7, 71);
    add_abort(story, 7, 70);
    add_abort(story, 7, 79);
    add_start(story, 7, false);
    add_row(story, 2, "after", 72);
    add_stop(story);
    add_start(story, 9, true);
    add_row(story, 1, "never", 0);
    add_stop(story);
    add_abort(story, 9, 9);
    add_boundary(story, EVENT_COMMIT, 7);
    assert_told(story, "begin:7 =a a.kept:7/1 =b b.after:7/2 commit:7 ");
}

static void a_subtransaction_whose_first_row_comes_after_an_inner_ones_is_cut_whole(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");

    add_start(story, 7, true);
    add_relation(story, &a);
    add_row(story, 1, "kept", 0);
    add_row(story, 1, "inner", 71);
    add_row(story, 1, "outer", 70);
    add_stop(story);
    add_abort(story, 7, 71);
    add_abort(story, 7, 70);
    add_start(story, 7, false);
    add_row(story, 1, "next", 72);
    add_stop(story);
    add_boundary(story, EVENT_COMMIT, 7);
    assert_told(story, "begin:7 =a a.kept:7/1 a.next:7/2 commit:7 ");
}

static void a_transaction_of_which_nothing_is_left_sends_nothing(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");

    add_start(story, 7, true);
    add_relation(story, &a);
    add_row(story, 1, "sub", 70);
    add_stop(story);
    add_abort(story, 7, 70);
    add_boundary(story, EVENT_COMMIT, 7);
    assert_told(story, "");
}

static void a_row_comes_under_the_definition_of_its_time(void **state)
{
    struct story *story = *state;
    struct relation old = make_relation(1, "old");
    struct relation new = make_relation(1, "new");

    add_boundary(story, EVENT_BEGIN, 6);
    add_relation(story, &old);
    add_row(story, 1, "x", 0);
    add_boundary(story, EVENT_COMMIT, 6);
    add_start(story, 7, true);
    add_row(story, 1, "before", 0);
    add_relation(story, &new);
    add_row(story, 1, "after", 0);
    add_stop(story);
    add_boundary(story, EVENT_BEGIN, 8);
    add_relation(story, &old);
    add_row(story, 1, "y", 0);
    add_boundary(story, EVENT_COMMIT, 8);
    add_boundary(story, EVENT_COMMIT, 7);
    add_boundary(story, EVENT_BEGIN, 9);
    add_row(story, 1, "z", 0);
    add_boundary(story, EVENT_COMMIT, 9);
    assert_told(story, "begin:6 =old old.x:6/1 commit:6 begin:8 =old old.y:8/1 commit:8 "
                       "begin:7 old.before:7/1 =new new.after:7/2 commit:7 "
                       "begin:9 =old old.z:9/1 commit:9 ");
}

static void a_withheld_table_is_told_of_at_once(void **state)
{
    struct story *story = *state;
    struct relation secret = make_relation(1, "secret");

    secret.is_withheld = true;
    secret.column_count = 0;
    add_start(story, 7, true);
    add_relation(story, &secret);
    add_stop(story);
    add_abort(story, 7, 7);
    assert_told(story, "=secret ");
}

static void truncates_and_messages_wait_with_the_rows(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");
    const struct relation *truncated[] = {&a};
    struct message message = {.prefix = "p", .content = "", .is_transactional = true};

    add_start(story, 7, true);
    add_relation(story, &a);
    change_pack(&story->stream,
                &(struct event){.kind = EVENT_TRUNCATE,
                                .truncate = {.relations = truncated, .relation_count = 1}});
    change_pack(&story->stream, &(struct event){.kind = EVENT_MESSAGE, .message = message});
    add_stop(story);
    message.is_transactional = false;
    change_pack(&story->stream, &(struct event){.kind = EVENT_MESSAGE, .message = message});
    add_boundary(story, EVENT_COMMIT, 7);
    assert_told(story, "message:0/0 begin:7 =a truncate:1 message:7/2 commit:7 ");
}

static void a_block_or_a_commit_without_its_beginning_is_refused(void **state)
{
    struct story *story = *state;

    add_boundary(story, EVENT_COMMIT, 7);
    assert_int_equal(tell(story), CHANGE_ERROR);
    assert_int_equal(story->err.kind, ERROR_BUG);
    buf_clear(&story->stream);
    add_start(story, 7, false);
    assert_int_equal(tell(story), CHANGE_ERROR);
    assert_int_equal(story->err.kind, ERROR_BUG);
}

static void a_folder_that_cannot_be_written_is_named_as_the_remedy(void **state)
{
    struct story *story = *state;

    setenv("TMPDIR", "/nonexistent", 1);
    add_start(story, 7, true);
    assert_int_equal(tell(story), CHANGE_ERROR);
    unsetenv("TMPDIR");
    assert_int_equal(story->err.kind, ERROR_RETRY);
    assert_non_null(strstr(story->err.message, "TMPDIR"));
}

static void many_rows_wait_on_disk(void **state)
{
    struct story *story = *state;
    struct relation a = make_relation(1, "a");
    struct spool *spool = spool_new();
    struct change_reader *reader = change_reader_new();
    struct event event;
    int rows = 0;

    add_start(story, 7, true);
    add_relation(story, &a);
    for (int i = 0; i < 20000; i++)
        add_row(story, 1, "a row of some bytes", 0);
    add_stop(story);
    assert_true(
        change_reader_feed(reader, story->stream.data, story->stream.size_bytes, &story->err));
    assert_int_equal(spool_next(spool, reader, &event, &story->err), CHANGE_NEED);
    assert_int_equal(spool_load(spool).transaction_count, 1);
    assert_in_range(spool_load(spool).size_bytes, 20000 * 20, story->stream.size_bytes);
    buf_clear(&story->stream);
    add_boundary(story, EVENT_COMMIT, 7);
    assert_true(
        change_reader_feed(reader, story->stream.data, story->stream.size_bytes, &story->err));
    while (spool_next(spool, reader, &event, &story->err) == CHANGE_EVENT)
        rows += event.kind == EVENT_ROW;
    assert_int_equal(rows, 20000);
    assert_int_equal(spool_load(spool).transaction_count, 0);
    change_reader_free(reader);
    spool_free(spool);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(rows_of_a_transaction_in_progress_come_at_its_commit),
        STORY(what_is_rolled_back_is_never_seen),
        STORY(a_subtransaction_whose_first_row_comes_after_an_inner_ones_is_cut_whole),
        STORY(a_transaction_of_which_nothing_is_left_sends_nothing),
        STORY(a_row_comes_under_the_definition_of_its_time),
        STORY(a_withheld_table_is_told_of_at_once),
        STORY(truncates_and_messages_wait_with_the_rows),
        STORY(a_block_or_a_commit_without_its_beginning_is_refused),
        STORY(a_folder_that_cannot_be_written_is_named_as_the_remedy),
        STORY(many_rows_wait_on_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
