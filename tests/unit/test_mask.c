/* mapping/mask: what stands for an encrypted text is known from a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mapping/mask.h"

static bool is_mask(const char *type, const char *text)
{
    const struct mapping_field field = {.type = fieldtype_find(type)};

    return mask_is_one(&field, text);
}

static void what_salesforce_shows_is_a_mask(void **context)
{
    static const char *const masks[] = {
        "*",           "**********",  "******5678",
        "***-**-1234", "XXXX",        "XXXXXXXXXXXX1234",
        "***-***-***", "XXX-XX-1234", "*** *** *12\xc3\xa9\xc3\xa9"};

    (void)context;
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        assert_true(is_mask("encryptedstring", masks[i]));
}

static void a_text_is_none(void **context)
{
    static const char *const texts[] = {"",  "plain", "X",          "XXL",    "1234",
                                        "-", "**12",  "*****56789", "sec*ret"};

    (void)context;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(is_mask("encryptedstring", texts[i]));
    assert_false(is_mask("encryptedstring", NULL));
    assert_false(is_mask("string", "****"));
}

static bool is_mask_of(const char *mask, const char *text)
{
    const struct mapping_field field = {.type = fieldtype_find("encryptedstring"), .mask = mask};

    return mask_is_one(&field, text);
}

static void where_the_look_is_told_it_is_that_one_exactly(void **context)
{
    (void)context;
    assert_true(is_mask_of("* all", "****"));
    assert_true(is_mask_of("* nino", "** ** ** ** *"));
    assert_true(is_mask_of("* lastFour", "*1234"));
    assert_true(is_mask_of("X ssn", "XXX-XX-1234"));
    assert_true(is_mask_of("X creditCard", "XXXX XXXX XXXX 1234"));
    assert_true(is_mask_of("X all", "XX"));
    assert_false(is_mask_of("* all", "****1234"));
    assert_false(is_mask_of("* all", "XXXX"));
    assert_false(is_mask_of("* lastFour", "********"));
    assert_false(is_mask_of("X lastFour", "XXL"));
    assert_false(is_mask_of("* lastFour", "1234"));
    assert_false(is_mask_of("* all", NULL));
}

static void only_a_described_mask_is_kept(void **context)
{
    struct arena *arena = arena_new();
    const struct sf_field masked = {.is_encrypted = true, .mask = "X", .mask_type = "lastFour"};
    const struct sf_field odd = {.is_encrypted = true, .mask = "#", .mask_type = "all"};
    const struct sf_field plain = {.mask = "X", .mask_type = "all"};

    (void)context;
    assert_string_equal(mask_describe(&masked, arena), "X lastFour");
    assert_null(mask_describe(&odd, arena));
    assert_null(mask_describe(&plain, arena));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_salesforce_shows_is_a_mask),
        cmocka_unit_test(a_text_is_none),
        cmocka_unit_test(where_the_look_is_told_it_is_that_one_exactly),
        cmocka_unit_test(only_a_described_mask_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
