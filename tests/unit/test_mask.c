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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_salesforce_shows_is_a_mask),
        cmocka_unit_test(a_text_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
