/* archive/hstore: the text that hstore itself would print, and all that it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/hstore.h"

static struct hstore_pair pair(const char *key, const char *value)
{
    return (struct hstore_pair){key, value, value != NULL ? strlen(value) : 0};
}

static void pairs_are_printed_shortest_key_first_then_by_bytes(void **state)
{
    struct hstore_pair pairs[] = {pair("name", "A \"q\" \\ b"), pair("id", "1"), pair("zip", NULL),
                                  pair("Name", ""), pair("_a", "x, y=>z")};
    struct buf text BUF_AUTO = {0};

    (void)state;
    buf_init(&text, 4096);
    hstore_sort(pairs, 5);
    hstore_print(&text, pairs, 5);
    assert_string_equal(text.data, "\"_a\"=>\"x, y=>z\", \"id\"=>\"1\", \"zip\"=>NULL,"
                                   " \"Name\"=>\"\", \"name\"=>\"A \\\"q\\\" \\\\ b\"");
}

static void a_pair_is_found_by_its_whole_key(void **state)
{
    struct hstore_pair pairs[] = {pair("name", "Acme"), pair("phone", NULL)};

    (void)state;
    assert_ptr_equal(hstore_find(pairs, 2, "phone"), &pairs[1]);
    assert_null(hstore_find(pairs, 2, "Name"));
    assert_null(hstore_find(pairs, 2, "nam"));
    assert_null(hstore_find(NULL, 0, "name"));
}

static void what_is_printed_is_read_back(void **state)
{
    struct hstore_pair pairs[] = {pair("a", "\"=>\\,"), pair("b", NULL), pair("c", "NULL"),
                                  pair("d", "line\nbreak"), pair("e", "")};
    struct arena *arena = arena_new();
    struct buf text BUF_AUTO = {0};
    struct hstore_pair *read;
    struct error err = {0};
    size_t count;

    (void)state;
    buf_init(&text, 4096);
    hstore_print(&text, pairs, 5);
    assert_true(hstore_parse(text.data, arena, &read, &count, &err));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(read[i].key, pairs[i].key);
        if (pairs[i].value == NULL)
            assert_null(read[i].value);
        else
            assert_string_equal(read[i].value, pairs[i].value);
    }
    arena_free(arena);
}

static void hands_may_write_it_without_quotes(void **state)
{
    struct arena *arena = arena_new();
    struct hstore_pair *read;
    struct error err = {0};
    size_t count;

    (void)state;
    assert_true(hstore_parse("  a=>1,b =>  null , \"c d\" => e\\,f", arena, &read, &count, &err));
    assert_int_equal(count, 3);
    assert_string_equal(read[0].value, "1");
    assert_null(read[1].value);
    assert_string_equal(read[2].key, "c d");
    assert_string_equal(read[2].value, "e,f");
    assert_true(hstore_parse("", arena, &read, &count, &err));
    assert_int_equal(count, 0);
    arena_free(arena);
}

static void other_texts_are_refused_with_the_place(void **state)
{
    static const char *const refused[] = {"a",          "a=>",        "=>b",
                                          "\"a",        "\"a\"=>\"b", "a=>b c=>d",
                                          "a=>b,,c=>d", "a=>\"b\\",   "\"a\"=\"b\""};
    struct arena *arena = arena_new();
    struct hstore_pair *read;
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct error err = {0};

        assert_false(hstore_parse(refused[i], arena, &read, &count, &err));
        assert_int_equal(err.kind, ERROR_RECORD);
        assert_non_null(strstr(err.message, "at byte"));
    }
    arena_free(arena);
}

/* Whatever bytes come, the parser answers and stays inside them. */
static void random_bytes_do_no_harm(void **state)
{
    static const char alphabet[] = "\"\\=>, aN\n";
    uint64_t random = 42;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct arena *arena = arena_new();
        struct hstore_pair *read;
        struct error err = {0};
        char text[24] = "";
        size_t count;

        for (size_t i = 0; i < sizeof(text) - 1; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = alphabet[(random >> 33) % (sizeof(alphabet) - 1)];
        }
        if (hstore_parse(text, arena, &read, &count, &err))
            for (size_t i = 0; i < count; i++)
                assert_true(strlen(read[i].key) < sizeof(text));
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_printed_shortest_key_first_then_by_bytes),
        cmocka_unit_test(a_pair_is_found_by_its_whole_key),
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(hands_may_write_it_without_quotes),
        cmocka_unit_test(other_texts_are_refused_with_the_place),
        cmocka_unit_test(random_bytes_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
