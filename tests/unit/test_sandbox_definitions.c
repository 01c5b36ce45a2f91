/* sandbox/metadata_types, object_add, follows, currencies: from what a user writes to a definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/currencies.h"
#include "sandbox/follows.h"
#include "sandbox/metadata_types.h"
#include "sandbox/object_add.h"

static void assert_json(json_t *json, const char *expected)
{
    json_t *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    assert_true(json_equal(json, wanted));
    json_decref(json);
    json_decref(wanted);
}

static json_t *define(const char *metadata, struct error *err)
{
    json_t *json = json_loads(metadata, 0, NULL);
    json_t *field = metadata_types_define_field(NULL, "A__c", json, err);

    json_decref(json);
    return field;
}

static void fields_are_written_on_the_command_line(void **state)
{
    struct error err = {0};

    (void)state;
    assert_json(object_add_field("A__c:string(20),unique,external-id", &err),
                "{\"name\":\"A__c\",\"type\":\"string\",\"length\":20,\"unique\":true,"
                "\"externalId\":true}");
    assert_json(object_add_field("A__c:currency(16,2),required", &err),
                "{\"name\":\"A__c\",\"type\":\"currency\",\"precision\":16,\"scale\":2,"
                "\"nillable\":false}");
    assert_json(object_add_field("A__c:picklist(x y|z)", &err),
                "{\"name\":\"A__c\",\"type\":\"picklist\",\"picklistValues\":[\"x y\",\"z\"]}");
    assert_json(object_add_field("A__c:reference(Account),master", &err),
                "{\"name\":\"A__c\",\"type\":\"reference\",\"referenceTo\":[\"Account\"],"
                "\"relationshipName\":\"A__r\",\"cascadeDelete\":true}");
    assert_json(object_add_field("A__c:date", &err), "{\"name\":\"A__c\",\"type\":\"date\"}");
}

static void a_field_that_is_none_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "A",
                                        "A:",
                                        "A:string(",
                                        "A:string()",
                                        "A:double(1,",
                                        "A:double(2,3)",
                                        "A:string(0)",
                                        "A:string(5)x",
                                        "A:date,often"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error err = {0};

        assert_null(object_add_field(wrong[i], &err));
        assert_string_not_equal(err.message, "");
    }
}

static void metadata_may_be_text_or_not(void **state)
{
    static const char expected[] =
        "{\"name\":\"A__c\",\"type\":\"double\",\"label\":\"A\",\"precision\":5,\"scale\":2,"
        "\"unique\":true,\"nillable\":false}";
    struct error err = {0};

    (void)state;
    assert_json(define("{\"type\":\"Number\",\"label\":\"A\",\"precision\":\"5\",\"scale\":\"2\","
                       "\"unique\":\"true\",\"required\":\"true\"}",
                       &err),
                expected);
    assert_json(define("{\"type\":\"Number\",\"label\":\"A\",\"precision\":5,\"scale\":2,"
                       "\"unique\":true,\"required\":true}",
                       &err),
                expected);
}

static void defaults_are_constants(void **state)
{
    struct error err = {0};

    (void)state;
    assert_json(define("{\"type\":\"Text\",\"length\":3,\"defaultValue\":\"'x'\"}", &err),
                "{\"name\":\"A__c\",\"type\":\"string\",\"length\":3,\"defaultValue\":\"x\"}");
    assert_null(define("{\"type\":\"Date\",\"defaultValue\":\"TODAY()\"}", &err));
    assert_non_null(strstr(err.message, "TODAY()"));
}

static void a_value_follows_another(void **state)
{
    struct arena *arena = arena_new();
    json_t *definition =
        json_loads("{\"follows\":{\"field\":\"S\",\"values\":{\"a\":5,\"b\":\"@now\"},"
                   "\"otherwise\":null}}",
                   0, NULL);
    const struct follows *follows = follows_read(arena, definition);
    const char *answer = NULL;

    (void)state;
    assert_string_equal(follows_field(follows), "S");
    assert_true(follows_answer(follows, "A", "T", &answer));
    assert_string_equal(answer, "5");
    assert_true(follows_answer(follows, "b", "T", &answer));
    assert_string_equal(answer, "T");
    assert_true(follows_answer(follows, NULL, "T", &answer));
    assert_null(answer);
    json_decref(definition);
    assert_null(follows_read(arena, NULL));
    arena_free(arena);
}

static void currencies_have_a_code_and_a_rate(void **state)
{
    static const char *const wrong[] = {"",           "usd",           "USD=1",
                                        "USD,EUR=-1", "USD,EUR=1e999", "USD,,EUR"};
    struct error err = {0};
    json_t *json = currencies_read("USD,EUR=0.5", &err);

    (void)state;
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(json, "field"), "picklistValues")), 2);
    json_decref(json);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_null(currencies_read(wrong[i], &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_written_on_the_command_line),
        cmocka_unit_test(a_field_that_is_none_is_refused),
        cmocka_unit_test(metadata_may_be_text_or_not),
        cmocka_unit_test(defaults_are_constants),
        cmocka_unit_test(a_value_follows_another),
        cmocka_unit_test(currencies_have_a_code_and_a_rate),
    };

    return cmocka_run_group_tests_name("sandbox/definitions", tests, NULL, NULL);
}
