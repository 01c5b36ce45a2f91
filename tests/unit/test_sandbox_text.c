/* sandbox/xml, base64, search_words: small readers of what clients send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/base64.h"
#include "sandbox/search_words.h"
#include "sandbox/xml.h"
#include "sandbox/xml_rows.h"

static int new_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int free_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static void elements_are_found_whatever_their_prefix(void **state)
{
    static const char document[] = "<?xml version='1.0'?><s:Envelope xmlns:s='s'><s:Body>"
                                   "<n:login xmlns:n='n'>"
                                   "<n:username  a='b'>x &amp; &lt;y&gt; &#65;&#x20AC;</n:username>"
                                   "<password/></n:login></s:Body></s:Envelope>";

    assert_string_equal(xml_find(*state, document, "username"), "x & <y> A\xe2\x82\xac");
    assert_string_equal(xml_find(*state, document, "password"), "");
    assert_null(xml_find(*state, document, "user"));
    assert_null(xml_find(*state, "<a>never ended", "a"));
    assert_null(xml_find(*state, "<a", "a"));
    assert_null(xml_find(*state, "<a>&nothing;</a>", "a"));
    assert_null(xml_find(*state, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a"));
}

static void what_is_escaped_is_found_again(void **state)
{
    const char *text = "<&>\"' \n";
    const char *document = arena_printf(*state, "<a>%s</a>", xml_escape(*state, text));

    assert_string_equal(xml_find(*state, document, "a"), text);
    assert_string_equal(xml_escape(*state, "a\x01z"), "az");
}

static void a_document_becomes_json(void **state)
{
    static const char document[] = "<a xmlns:x='http://www.w3.org/2001/XMLSchema-instance'>"
                                   "<b x:type='T'><c>1</c><c><d/></c></b> <e> f </e></a>";
    json_t *json = xml_read(document, strlen(document));
    json_t *expected =
        json_loads("{\"a\": {\"b\": {\"@type\": \"T\", \"c\": [\"1\", {\"d\": null}]},"
                   " \"e\": \" f \"}}",
                   0, NULL);

    (void)state;
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
}

static void elements_become_fields(void **state)
{
    static const char document[] =
        "<?xml version='1.0'?><!-- x --><Account><Name>A</Name><Phone/></Account>";
    json_t *fields = xml_rows_read(document, strlen(document));

    (void)state;
    assert_string_equal(json_string_value(json_object_get(fields, "Name")), "A");
    assert_true(json_is_null(json_object_get(fields, "Phone")));
    assert_int_equal(json_object_size(fields), 2);
    json_decref(fields);
    assert_null(xml_rows_read("no XML", 6));
}

static void base64_takes_both_alphabets_and_any_padding(void **state)
{
    static const char *const texts[] = {"_-8", "/+8", "_-8=", "/+8="};
    size_t size = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *plain = base64_decode(*state, texts[i], strlen(texts[i]), &size);

        assert_int_equal(size, 2);
        assert_memory_equal(plain, "\xff\xef", 2);
    }
    assert_string_equal(base64_encode_url(*state, "\xff\xef", 2), "_-8");
    assert_null(base64_decode(*state, "a", 1, &size));
    assert_null(base64_decode(*state, "a*b", 3, &size));
    assert_string_equal(base64_decode(*state, "", 0, &size), "");
}

static void assert_words(const char *text, const char *condition)
{
    static const char *const fields[] = {"A", "B"};
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, 1000);
    assert_int_equal(search_words(&soql, text, fields, 2), condition != NULL);
    if (condition != NULL)
        assert_string_equal(soql.data, condition);
}

static void words_become_conditions(void **state)
{
    (void)state;
    assert_words("ab", "(A LIKE '%ab%' OR B LIKE '%ab%')");
    assert_words("\"a b\"", "(A LIKE '%a b%' OR B LIKE '%a b%')");
    assert_words("a?c*", "(A LIKE '%a_c%%' OR B LIKE '%a_c%%')");
    assert_words("o'x_\\*", "(A LIKE '%o\\'x\\_*%' OR B LIKE '%o\\'x\\_*%')");
    assert_words("aa bb", "(A LIKE '%aa%' OR B LIKE '%aa%') AND (A LIKE '%bb%' OR B LIKE '%bb%')");
    assert_words("aa AND NOT bb",
                 "(A LIKE '%aa%' OR B LIKE '%aa%') AND (NOT (A LIKE '%bb%' OR B LIKE '%bb%'))");
    assert_words("aa bb or cc",
                 "((A LIKE '%aa%' OR B LIKE '%aa%') AND (A LIKE '%bb%' OR B LIKE '%bb%')) OR "
                 "(A LIKE '%cc%' OR B LIKE '%cc%')");
    assert_words("a", NULL);
    assert_words("", NULL);
    assert_words("\"\" ( )", NULL);
}

#define text_test(test) cmocka_unit_test_setup_teardown(test, new_arena, free_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        text_test(elements_are_found_whatever_their_prefix),
        text_test(what_is_escaped_is_found_again),
        cmocka_unit_test(a_document_becomes_json),
        cmocka_unit_test(elements_become_fields),
        text_test(base64_takes_both_alphabets_and_any_padding),
        cmocka_unit_test(words_become_conditions),
    };

    return cmocka_run_group_tests_name("sandbox/text", tests, NULL, NULL);
}
