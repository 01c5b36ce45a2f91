/* sandbox/ids and sandbox/times: what ids and moments look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/ids.h"
#include "sandbox/times.h"

static void a_short_id_gets_salesforces_checksum(void **state)
{
    struct ids_text id;

    (void)state;
    assert_true(ids_normalize("001D000000INjVe", &id));
    assert_string_equal(id.text, "001D000000INjVeIAL");
    assert_true(ids_normalize("000000000000000", &id));
    assert_string_equal(id.text, "000000000000000AAA");
}

static void a_long_id_that_lost_its_case_gets_it_back(void **state)
{
    struct ids_text id;

    (void)state;
    assert_true(ids_normalize("001d000000injveial", &id));
    assert_string_equal(id.text, "001D000000INjVeIAL");
    assert_true(ids_normalize("001D000000INJVEIAL", &id));
    assert_string_equal(id.text, "001D000000INjVeIAL");
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const refused[] = {"",
                                          "001",
                                          "001D000000INjV",
                                          "001D000000INjVeI",
                                          "001D000000INjVeIAL0",
                                          "001D000000INjV'",
                                          "001D000000INjVeI!L",
                                          "001D000000INjVeIA9",
                                          "00100000000000055A"};
    struct ids_text id;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (ids_normalize(refused[i], &id))
            fail_msg("\"%s\" was taken for an id", refused[i]);
}

static void made_ids_are_valid_and_in_order(void **state)
{
    struct ids_text before = ids_make("a01", 0);

    (void)state;
    for (int64_t number = 1; number < 100000; number += 37) {
        struct ids_text id = ids_make("a01", number);
        struct ids_text again;

        assert_true(ids_normalize(id.text, &again));
        assert_string_equal(id.text, again.text);
        assert_true(strcmp(before.text, id.text) < 0);
        before = id;
    }
}

static void datetimes_are_read_in_every_zone_and_written_in_one(void **state)
{
    static const char *const same[] = {"2026-01-31T10:20:30Z", "2026-01-31T11:20:30+01:00",
                                       "2026-01-31T05:20:30.999-0500",
                                       "2026-01-31T10:20:30.000+0000"};
    static const char *const refused[] = {"",
                                          "2026-01-31",
                                          "2026-02-30T00:00:00Z",
                                          "2026-01-31T24:00:00Z",
                                          "2026-01-31T10:20:30",
                                          "2026-01-31T10:20:30.Z",
                                          "2026-01-31T10:20:30+1",
                                          "2026-01-31T10:20:30Zx",
                                          "26-01-31T10:20:30Z"};
    int64_t seconds = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_true(times_parse_datetime(same[i], false, &seconds));
        assert_string_equal(times_format_datetime(seconds).text, "2026-01-31T10:20:30.000+0000");
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(times_parse_datetime(refused[i], false, &seconds));
    assert_true(times_parse_datetime("2026-01-31T10:20:30", true, &seconds));
}

static void dates_and_http_dates_come_back_as_they_went(void **state)
{
    int64_t seconds = 0;
    int64_t again = 0;

    (void)state;
    assert_true(times_parse_date("2024-02-29", &seconds));
    assert_string_equal(times_format_date(seconds).text, "2024-02-29");
    assert_false(times_parse_date("2026-02-29", &seconds));
    assert_true(times_parse_http(times_format_http(seconds).text, &again));
    assert_int_equal(seconds, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_id_gets_salesforces_checksum),
        cmocka_unit_test(a_long_id_that_lost_its_case_gets_it_back),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(made_ids_are_valid_and_in_order),
        cmocka_unit_test(datetimes_are_read_in_every_zone_and_written_in_one),
        cmocka_unit_test(dates_and_http_dates_come_back_as_they_went),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
