/* mapping/filter: one condition, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>

#include "mapping/filter.h"

static const char *const good[] = {
    "Name = 'Acme'",
    "Name='Acme' AND Amount__c >= 5.5",
    "Name != null and (Phone = '1' or Phone = '2') and not IsDeleted = true",
    "CreatedDate > 2026-01-31T10:20:30Z",
    "CreatedDate = LAST_N_DAYS:30 OR CreatedDate = TODAY",
    "Industry IN ('Energy', 'Media')",
    "Industry NOT IN ('Energy')",
    "Tags__c includes ('a;b', 'c') or Tags__c excludes ('d')",
    "Account.Name like 'it\\'s (%, \"or\" ) limit 5 %'",
    "((((Name = 'a'))))",
    "Amount__c < -3",
    "Amount__c > USD5000",
};

static const char *const bad[] = {
    "",
    "   ",
    "Name",
    "Name = ",
    "Name = 'Acme",
    "Name = 'Acme\\",
    "Name = 'Acme' LIMIT 5",
    "Name = 'Acme' order by Name",
    "Name = 'a') or (Name = 'b'",
    "(Name = 'a'",
    "Name = 'a')",
    "Name = 'a' and",
    "Name = 'a' or Name = 'b' and Name = 'c'",
    "Name in (select Name from Contact)",
    "Id in ()",
    "Name = 'a'; delete",
    "Name = 'a' -- x",
    "Name = :bind",
    "DISTANCE(Place__c, GEOLOCATION(1,2), 'mi') < 20",
    "limit = 5",
    "Name = Phone.Number",
    "Name = \"a\"",
    "Name.. = 'a'",
    "1 = 1",
};

static void what_may_stand_behind_where_is_taken(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error err = {0};
        if (!filter_check(good[i], &err))
            fail_msg("%s: %s", good[i], err.message);
    }
}

static void everything_else_is_refused_with_its_place(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = {0};
        if (filter_check(bad[i], &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.message, "at character "));
    }
}

static void deep_and_long_text_is_refused(void **context)
{
    static char brackets[3000];
    static char longer[6000] = "Name = '";
    struct error err = {0};

    (void)context;
    memset(brackets, '(', sizeof(brackets) - 1);
    assert_false(filter_check(brackets, &err));
    assert_non_null(strstr(err.message, "nested too deep"));
    memset(longer + 8, 'x', sizeof(longer) - 10);
    longer[sizeof(longer) - 2] = '\'';
    assert_false(filter_check(longer, &err));
    assert_non_null(strstr(err.message, "longer than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_stand_behind_where_is_taken),
        cmocka_unit_test(everything_else_is_refused_with_its_place),
        cmocka_unit_test(deep_and_long_text_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
