/* pg/pg: the text of an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg/pg.h"

static void an_array_may_be_empty(void **state)
{
    struct buf array BUF_AUTO = {0};

    (void)state;
    buf_init(&array, 100);
    pg_end_array(&array);
    assert_string_equal(array.data, "{}");
}

static void an_element_may_say_anything(void **state)
{
    struct buf array BUF_AUTO = {0};

    (void)state;
    buf_init(&array, 100);
    pg_append_element(&array, pg_number(INT64_MIN).text);
    pg_append_element(&array, "");
    pg_append_element(&array, "null");
    pg_append_element(&array, " a,b}{ \"c\\ ");
    pg_end_array(&array);
    assert_string_equal(array.data,
                        "{\"-9223372036854775808\",\"\",\"null\",\" a,b}{ \\\"c\\\\ \"}");
}

/* A part of it could be taken for the whole. */
static void an_array_that_passes_the_limit_has_no_end(void **state)
{
    (void)state;
    for (size_t max_bytes = 0; max_bytes < sizeof("{\"1\",\"a\"}") - 1; max_bytes++) {
        struct buf array BUF_AUTO = {0};

        buf_init(&array, max_bytes);
        pg_append_element(&array, "1");
        pg_append_element(&array, "a");
        pg_end_array(&array);
        assert_true(buf_is_full(&array));
        assert_null(strchr(array.data, '}'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_may_be_empty),
        cmocka_unit_test(an_element_may_say_anything),
        cmocka_unit_test(an_array_that_passes_the_limit_has_no_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
