/* sf: queries, spans, descriptions and collections, against an organisation that plays a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scripted_org.h"
#include "sf/collections.h"
#include "sf/describe.h"
#include "sf/rest.h"

#define ID_1 "001000000000001AAA"
#define ID_2 "001000000000002AAA"

struct scene {
    struct scripted_server *server;
    struct sf_session *session;
    struct arena *arena;
    struct error err;
};

static struct scene scene_open(const struct org_answer *answers, size_t count)
{
    struct org_answer script[ORG_ANSWERS] = {TOKEN("t")};
    struct scene scene = {.arena = arena_new()};

    memcpy(script + 1, answers, count * sizeof(*answers));
    scene.server = org_start(script, count + 1);
    assert_true(org_open(scene.server, &scene.session, &scene.err));
    return scene;
}

static void scene_close(struct scene *scene)
{
    sf_session_close(scene->session);
    arena_free(scene->arena);
    server_free(scene->server);
}

#define SCENE(answers) scene_open((answers), sizeof(answers) / sizeof((answers)[0]))

static void a_query_is_read_to_its_last_page(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "{\"totalSize\":3,\"done\":false,\"nextRecordsUrl\":\"/services/data/v60.0/query/x-2\","
         "\"records\":[{\"Id\":\"1\"},{\"Id\":\"2\"}]}",
         NULL, false},
        {200, "{\"totalSize\":3,\"done\":true,\"records\":[{\"Id\":\"3\"}]}", NULL, false}};
    struct scene scene = SCENE(script);
    struct sf_query_options options = {.with_deleted = true, .batch_size = 100};
    struct sf_query *query;
    json_t *records;
    size_t count = 0;

    (void)state;
    assert_true(sf_query_open(scene.session, "select Id from A+B", &options, &query, &scene.err));
    assert_int_equal(sf_query_total(query), 3);
    assert_int_equal(sf_query_server_time_s(query), 784111777);
    while (sf_query_next(query, &records, &scene.err) && records != NULL) {
        count += json_array_size(records);
        json_decref(records);
    }
    assert_int_equal(count, 3);
    assert_true(sf_query_next(query, &records, &scene.err));
    assert_null(records);
    sf_query_close(query);
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received, "/queryAll?q=select%20Id%20from%20A%2BB HTTP"));
    assert_non_null(strstr(scene.server->received, "Sforce-Query-Options: batchSize=200\r\n"));
    assert_non_null(strstr(scene.server->received, "GET /services/data/v60.0/query/x-2 HTTP"));
    scene_close(&scene);
}

static void a_cursor_that_is_forgotten_asks_for_a_new_query(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "{\"totalSize\":3,\"done\":false,\"nextRecordsUrl\":\"/services/data/v60.0/query/x-2\","
         "\"records\":[]}",
         NULL, false},
        {400, "[{\"errorCode\":\"INVALID_QUERY_LOCATOR\",\"message\":\"invalid\"}]", NULL, false}};
    struct scene scene = SCENE(script);
    struct sf_query *query;
    json_t *records;

    (void)state;
    assert_true(sf_query_open(scene.session, "select Id from A", NULL, &query, &scene.err));
    assert_true(sf_query_next(query, &records, &scene.err));
    json_decref(records);
    assert_false(sf_query_next(query, &records, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RETRY);
    sf_query_close(query);
    scene_close(&scene);
}

/* A page that says it is not the last and does not say where the next is would end a load early. */
static void a_page_that_is_not_whole_is_refused(void **state)
{
    static const struct org_answer script[] = {
        {200, "{\"totalSize\":3,\"done\":false,\"records\":[]}", NULL, false},
        {200, "{\"totalSize\":3,\"records\":[]}", NULL, false},
        {200, "{\"totalSize\":3,\"done\":true}", NULL, false},
        {200,
         "{\"totalSize\":3,\"done\":false,\"nextRecordsUrl\":\"https://evil.example/\",\"records\":"
         "[]}",
         NULL, false},
        {200, "", NULL, false}};
    struct scene scene = SCENE(script);
    struct sf_query *query;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_false(sf_query_open(scene.session, "select Id from A", NULL, &query, &scene.err));
        assert_int_equal(scene.err.kind, ERROR_RETRY);
    }
    scene_close(&scene);
}

static void a_bad_query_is_the_operators_and_a_long_one_the_callers(void **state)
{
    static const struct org_answer script[] = {
        {400, "[{\"errorCode\":\"INVALID_FIELD\",\"message\":\"No such column\"}]", NULL, false},
        {200, "{\"totalSize\":41,\"done\":true,\"records\":[]}", NULL, false}};
    static char soql[20001];
    struct scene scene = SCENE(script);
    struct sf_query *query;
    int64_t count;

    (void)state;
    memset(soql, 'x', sizeof(soql) - 1);
    assert_false(sf_query_open(scene.session, "select X from A", NULL, &query, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_CONFIG);
    assert_non_null(strstr(scene.err.message, "No such column"));
    assert_false(sf_query_open(scene.session, soql, NULL, &query, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RECORD);
    assert_true(sf_count(scene.session, "select count() from A", &count, &scene.err));
    assert_int_equal(count, 41);
    scene_close(&scene);
}

static void what_was_deleted_and_changed_is_listed(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "{\"deletedRecords\":[{\"id\":\"001000000000001\",\"deletedDate\":"
         "\"1970-01-01T00:00:05.000+0000\"}],\"earliestDateAvailable\":"
         "\"1970-01-01T00:00:01.000+0000\",\"latestDateCovered\":\"1970-01-01T00:00:09.000+0000\"}",
         NULL, false},
        {200,
         "{\"ids\":[\"" ID_1 "\",\"" ID_2
         "\"],\"latestDateCovered\":\"1970-01-01T00:00:09.000+0000\"}",
         NULL, false},
        {200, "{\"ids\":[],\"latestDateCovered\":\"soon\"}", NULL, false},
        {400, "[{\"errorCode\":\"INVALID_REPLICATION_DATE\",\"message\":\"too old\"}]", NULL,
         false},
        {400, "[{\"errorCode\":\"EXCEEDED_ID_LIMIT\",\"message\":\"too many\"}]", NULL, false}};
    struct scene scene = SCENE(script);
    struct sf_span span = {"Account", 0, 120 * 1000000};
    struct sf_deleted deleted;
    struct sf_updated updated;

    (void)state;
    assert_true(sf_deleted(scene.session, &span, scene.arena, &deleted, &scene.err));
    assert_int_equal(deleted.count, 1);
    assert_string_equal(deleted.records[0].id, ID_1);
    assert_int_equal(deleted.records[0].deleted_us, 5000000);
    assert_int_equal(deleted.earliest_available_us, 1000000);
    assert_int_equal(deleted.latest_covered_us, 9000000);
    assert_true(sf_updated(scene.session, &span, scene.arena, &updated, &scene.err));
    assert_int_equal(updated.count, 2);
    assert_string_equal(updated.ids[1], ID_2);
    assert_false(sf_updated(scene.session, &span, scene.arena, &updated, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RETRY);
    assert_false(sf_updated(scene.session, &span, scene.arena, &updated, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_CONFIG);
    assert_false(sf_updated(scene.session, &span, scene.arena, &updated, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RECORD);
    span.object = "Account/x";
    assert_false(sf_updated(scene.session, &span, scene.arena, &updated, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_CONFIG);
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received,
                           "/sobjects/Account/deleted/?start=1970-01-01T00%3A00%3A00.000Z&end="
                           "1970-01-01T00%3A02%3A00.000Z HTTP"));
    scene_close(&scene);
}

static void an_object_is_described(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "{\"name\":\"Account\",\"label\":\"Account\",\"queryable\":true,\"keyPrefix\":\"001\","
         "\"fields\":[{\"name\":\"Id\",\"type\":\"id\",\"length\":18,\"referenceTo\":[],"
         "\"relationshipName\":null},{\"name\":\"OwnerId\",\"type\":\"reference\",\"referenceTo\":"
         "[\"User\",\"Group\"],\"relationshipName\":\"Owner\",\"createable\":true}]}",
         NULL, false},
        {404, "[{\"errorCode\":\"NOT_FOUND\",\"message\":\"no\"}]", NULL, false},
        {200, "{\"name\":\"Account\"}", NULL, false},
        {200, "{\"sobjects\":[{\"name\":\"A\",\"createable\":true},{\"name\":\"B__c\"}]}", NULL,
         false}};
    struct scene scene = SCENE(script);
    struct sf_object object;
    struct sf_object_list list;

    (void)state;
    assert_true(sf_describe(scene.session, "Account", scene.arena, &object, &scene.err));
    assert_true(object.is_queryable);
    assert_false(object.is_createable);
    assert_int_equal(object.field_count, 2);
    assert_int_equal(sf_object_field(&object, "id")->length, 18);
    assert_null(sf_object_field(&object, "Id")->relationship_name);
    const struct sf_field *owner = sf_object_field(&object, "OWNERID");
    assert_string_equal(owner->reference_to[1], "Group");
    assert_true(owner->is_polymorphic && owner->is_createable && !owner->is_updateable);
    assert_null(sf_object_field(&object, "Nope"));
    assert_false(sf_describe(scene.session, "Nope__c", scene.arena, &object, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RECORD);
    assert_non_null(strstr(scene.err.message, "Nope__c"));
    assert_false(sf_describe(scene.session, "Account", scene.arena, &object, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_RETRY);
    assert_true(sf_describe_global(scene.session, scene.arena, &list, &scene.err));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.objects[1].name, "B__c");
    scene_close(&scene);
}

static json_t *two_records(void)
{
    json_t *records = json_array();

    json_array_append_new(records, sf_record_new("Account"));
    json_array_append_new(records, sf_record_new("Account"));
    return records;
}

static void each_record_has_its_result(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "[{\"id\":\"001000000000001\",\"success\":true,\"errors\":[]},{\"success\":false,"
         "\"errors\":[{\"statusCode\":\"REQUIRED_FIELD_MISSING\",\"message\":\"Required\","
         "\"fields\":[\"Name\"]},{\"statusCode\":\"X\",\"message\":\"and more\"}]}]",
         NULL, false},
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true,\"errors\":[]}]", NULL, false}};
    static const char *const ids[] = {ID_1};
    struct scene scene = SCENE(script);
    json_t *records = two_records();
    struct sf_batch create = {.write = SF_CREATE, .records = records};
    struct sf_batch delete = {.write = SF_DELETE, .ids = ids, .id_count = 1};

    (void)state;
    assert_true(sf_collection_write(scene.session, &create, 1, scene.arena, &scene.err));
    assert_int_equal(create.fate, SF_ANSWERED);
    assert_int_equal(create.result_count, 2);
    assert_int_equal(create.results[0].outcome, SF_OUTCOME_SUCCESS);
    assert_true(create.results[0].is_created);
    assert_string_equal(create.results[0].id, ID_1);
    assert_int_equal(create.results[1].outcome, SF_OUTCOME_DATA);
    assert_string_equal(create.results[1].code, "REQUIRED_FIELD_MISSING");
    assert_string_equal(create.results[1].message, "Required; and more");
    assert_string_equal(create.results[1].fields[0], "Name");
    assert_null(create.results[1].fields[1]);
    assert_true(sf_collection_write(scene.session, &delete, 1, scene.arena, &scene.err));
    assert_int_equal(delete.results[0].outcome, SF_OUTCOME_SUCCESS);
    json_decref(records);
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received,
                           "{\"allOrNone\":false,\"records\":[{\"attributes\":{\"type\":"
                           "\"Account\"}},"));
    assert_non_null(strstr(scene.server->received,
                           "DELETE /services/data/v60.0/composite/sobjects?ids=" ID_1
                           "&allOrNone=false HTTP"));
    scene_close(&scene);
}

static json_t *one_record(void)
{
    json_t *records = json_pack("[o]", sf_record_new("Account"));

    json_object_set_new(json_array_get(records, 0), "id", json_string(ID_1));
    json_object_set_new(json_array_get(records, 0), "Phone", json_string("1"));
    return records;
}

static void an_update_on_a_condition_goes_by_itself(void **state)
{
    static const struct org_answer script[] = {
        {204, "", NULL, false},
        {412, "", NULL, false},
        {400,
         "[{\"errorCode\":\"REQUIRED_FIELD_MISSING\",\"message\":\"Required\","
         "\"fields\":[\"Name\"]}]",
         NULL, false},
        {404, "[{\"errorCode\":\"NOT_FOUND\",\"message\":\"x\"}]", NULL, false},
        {400, "[{\"errorCode\":\"UNABLE_TO_LOCK_ROW\",\"message\":\"x\"}]", NULL, false}};
    static const enum sf_outcome outcomes[] = {SF_OUTCOME_SUCCESS, SF_OUTCOME_CONFLICT,
                                               SF_OUTCOME_DATA, SF_OUTCOME_GONE,
                                               SF_OUTCOME_TRANSIENT};
    struct scene scene = SCENE(script);
    json_t *records = one_record();
    struct sf_batch batch = {
        .write = SF_UPDATE, .records = records, .unmodified_since_s = INT64_C(784111777)};

    (void)state;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
        assert_int_equal(batch.fate, SF_ANSWERED);
        assert_int_equal(batch.result_count, 1);
        assert_int_equal(batch.results[0].outcome, outcomes[i]);
        assert_string_equal(batch.results[0].id, ID_1);
    }
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received,
                           "PATCH /services/data/v60.0/sobjects/Account/" ID_1 " HTTP"));
    assert_non_null(
        strstr(scene.server->received, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    assert_non_null(strstr(scene.server->received, "\r\n\r\n{\"Phone\":\"1\"}"));
    json_decref(records);
    scene_close(&scene);
}

static void an_update_on_a_condition_is_in_doubt_or_not_done_like_any_other(void **state)
{
    static const struct org_answer script[] = {
        {502, "<html>", "text/html", false},
        {503, "<html>", "text/html", false},
        {403, "[{\"errorCode\":\"REQUEST_LIMIT_EXCEEDED\",\"message\":\"x\"}]", NULL, false}};
    static const enum sf_fate sent_fates[] = {SF_IN_DOUBT, SF_NOT_DONE, SF_NOT_DONE};
    struct scene scene = SCENE(script);
    json_t *records = one_record();
    json_t *two = two_records();
    struct sf_batch batch = {.write = SF_UPDATE, .records = records, .unmodified_since_s = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(sent_fates) / sizeof(sent_fates[0]); i++) {
        assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
        assert_int_equal(batch.fate, sent_fates[i]);
        assert_null(batch.results);
    }
    batch.records = two;
    assert_false(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
    assert_int_equal(scene.err.kind, ERROR_BUG);
    json_decref(two);
    json_decref(records);
    scene_close(&scene);
}

static void a_batch_without_a_readable_verdict_is_in_doubt(void **state)
{
    static const struct org_answer script[] = {
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true}]", NULL, false},
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true},{}]", NULL, false},
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true},{\"success\":true}]", NULL, false},
        {200, "", NULL, false},
        {200, "[{\"id\":", NULL, true},
        {502, "<html>", "text/html", false},
        {500, "[{\"errorCode\":\"UNKNOWN_EXCEPTION\",\"message\":\"x\"}]", NULL, false}};
    struct scene scene = SCENE(script);
    json_t *records = two_records();

    (void)state;
    for (size_t i = 0; i < sizeof(script) / sizeof(script[0]); i++) {
        struct sf_batch batch = {.write = SF_CREATE, .records = records};
        assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
        assert_int_equal(batch.fate, SF_IN_DOUBT);
        assert_null(batch.results);
        assert_true(batch.message[0] != '\0');
    }
    json_decref(records);
    scene_close(&scene);
}

static void a_batch_refused_before_execution_is_not_done(void **state)
{
    static const struct org_answer script[] = {
        {503, "<html>", "text/html", false},
        {429, "", NULL, false},
        {403, "[{\"errorCode\":\"REQUEST_LIMIT_EXCEEDED\",\"message\":\"x\"}]", NULL, false}};
    static const enum sf_outcome outcomes[] = {SF_OUTCOME_TRANSIENT, SF_OUTCOME_LIMIT,
                                               SF_OUTCOME_LIMIT};
    struct scene scene = SCENE(script);
    json_t *records = two_records();
    struct sf_batch batch = {.write = SF_UPDATE, .records = records};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
        assert_int_equal(batch.fate, SF_NOT_DONE);
        assert_int_equal(batch.outcome, outcomes[i]);
        assert_int_equal(batch.retry_after_s, 7);
    }
    assert_string_equal(batch.code, "REQUEST_LIMIT_EXCEEDED");
    server_stop(scene.server);
    assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
    assert_int_equal(batch.fate, SF_NOT_DONE);
    assert_int_equal(batch.outcome, SF_OUTCOME_TRANSIENT);
    json_decref(records);
    scene_close(&scene);
}

static void numbers_are_sent_with_the_digits_that_they_have(void **state)
{
    static const struct org_answer script[] = {
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true,\"errors\":[]}]", NULL, false},
        {200, "[{\"id\":\"" ID_1 "\",\"success\":true,\"errors\":[]}]", NULL, false}};
    static const double numbers[] = {19.99, 0.1 + 0.2};
    struct scene scene = SCENE(script);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *records SF_JSON_AUTO = json_array();
        json_t *record = sf_record_new("Account");
        struct sf_batch batch = {.write = SF_CREATE, .records = records};

        json_object_set_new(record, "AnnualRevenue", json_real(numbers[i]));
        json_array_append_new(records, record);
        assert_true(sf_collection_write(scene.session, &batch, 1, scene.arena, &scene.err));
    }
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received, "\"AnnualRevenue\":19.99}"));
    assert_non_null(strstr(scene.server->received, "\"AnnualRevenue\":0.30000000000000004}"));
    scene_close(&scene);
}

static void a_batch_that_cannot_be_right_is_not_sent(void **state)
{
    static const struct org_answer script[] = {{200, "[]", NULL, false}};
    static const char *const ids[] = {"001&allOrNone=x"};
    struct scene scene = SCENE(script);
    json_t *records = json_array();
    struct sf_batch batches[] = {{.write = SF_CREATE, .records = records},
                                 {.write = SF_DELETE, .ids = ids, .id_count = 1}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_false(sf_collection_write(scene.session, &batches[i], 1, scene.arena, &scene.err));
        assert_int_equal(scene.err.kind, ERROR_BUG);
        assert_int_equal(batches[i].fate, SF_NOT_DONE);
    }
    json_decref(records);
    server_stop(scene.server);
    assert_null(strstr(scene.server->received, "composite"));
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_read_to_its_last_page),
        cmocka_unit_test(a_cursor_that_is_forgotten_asks_for_a_new_query),
        cmocka_unit_test(a_page_that_is_not_whole_is_refused),
        cmocka_unit_test(a_bad_query_is_the_operators_and_a_long_one_the_callers),
        cmocka_unit_test(what_was_deleted_and_changed_is_listed),
        cmocka_unit_test(an_object_is_described),
        cmocka_unit_test(each_record_has_its_result),
        cmocka_unit_test(an_update_on_a_condition_goes_by_itself),
        cmocka_unit_test(an_update_on_a_condition_is_in_doubt_or_not_done_like_any_other),
        cmocka_unit_test(a_batch_without_a_readable_verdict_is_in_doubt),
        cmocka_unit_test(a_batch_refused_before_execution_is_not_done),
        cmocka_unit_test(numbers_are_sent_with_the_digits_that_they_have),
        cmocka_unit_test(a_batch_that_cannot_be_right_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
