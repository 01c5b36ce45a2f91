/* base/seal: what was sealed opens with its key, for its purpose, unchanged, and not otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/seal.h"

#define KEY       "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
#define OTHER_KEY "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct seal_key read_key(const char *text)
{
    struct seal_key key;
    struct error err = {0};

    assert_true(seal_read_key(text, &key, &err));
    return key;
}

static bool opens(const char *key_text, const char *associated, const char *sealed, struct buf *out)
{
    struct seal_key key = read_key(key_text);
    struct error err = {0};

    buf_init(out, 4096);
    bool is_ok = seal_open(&key, associated, sealed, out, &err);
    assert_int_equal(err.kind, is_ok ? ERROR_NONE : ERROR_CONFIG);
    return is_ok;
}

static void a_text_comes_back_with_its_key_for_its_purpose(void **state)
{
    static const char *const texts[] = {"", "s", "{\"refresh_token\": \"5Aep861\"}"};
    struct seal_key key = read_key(" \n" KEY "\n");

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf sealed BUF_AUTO = {0};
        struct buf text BUF_AUTO = {0};
        struct buf none BUF_AUTO = {0};
        struct buf nothing BUF_AUTO = {0};

        buf_init(&sealed, 4096);
        seal_put(&key, "salesforce", texts[i], &sealed);
        assert_true(opens(KEY, "salesforce", sealed.data, &text));
        assert_string_equal(text.data, texts[i]);
        assert_false(opens(OTHER_KEY, "salesforce", sealed.data, &none));
        assert_int_equal(none.size_bytes, 0);
        assert_false(opens(KEY, "other", sealed.data, &nothing));
    }
}

static void the_same_text_never_looks_the_same(void **state)
{
    struct seal_key key = read_key(KEY);
    struct buf first BUF_AUTO = {0};
    struct buf second BUF_AUTO = {0};

    (void)state;
    buf_init(&first, 4096);
    buf_init(&second, 4096);
    seal_put(&key, "x", "secret", &first);
    seal_put(&key, "x", "secret", &second);
    assert_string_not_equal(first.data, second.data);
    assert_null(strstr(first.data, "736563726574"));
}

static void any_digit_changed_or_cut_is_noticed(void **state)
{
    struct seal_key key = read_key(KEY);
    struct buf sealed BUF_AUTO = {0};

    (void)state;
    buf_init(&sealed, 4096);
    seal_put(&key, "x", "secret", &sealed);
    for (size_t i = 0; i < sealed.size_bytes; i++) {
        struct buf out BUF_AUTO = {0};
        struct buf cut BUF_AUTO = {0};
        char kept = sealed.data[i];

        sealed.data[i] = kept == '0' ? '1' : '0';
        assert_false(opens(KEY, "x", sealed.data, &out));
        sealed.data[i] = '\0';
        assert_false(opens(KEY, "x", sealed.data, &cut));
        sealed.data[i] = kept;
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const texts[] = {"", "00", KEY "0", KEY " x", "g" KEY};
    struct seal_key key;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error err = {0};

        assert_false(seal_read_key(texts[i], &key, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
    }
}

static void keys_are_told_apart_by_their_hints(void **state)
{
    struct seal_key key = read_key(KEY);
    struct seal_key other = read_key(OTHER_KEY);

    (void)state;
    assert_string_not_equal(key.hint, other.hint);
    assert_int_equal(strlen(key.hint), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_comes_back_with_its_key_for_its_purpose),
        cmocka_unit_test(the_same_text_never_looks_the_same),
        cmocka_unit_test(any_digit_changed_or_cut_is_noticed),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(keys_are_told_apart_by_their_hints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
