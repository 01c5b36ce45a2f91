/* base: the arena, the buffer, errors, positions and times. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/lsn.h"

static void arena_memory_is_zeroed_and_reused_after_a_reset(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (int round = 0; round < 3; round++) {
        char *small = arena_alloc(arena, 24);
        assert_int_equal((uintptr_t)small % 16, 0);
        for (int i = 0; i < 24; i++)
            assert_int_equal(small[i], 0);
        memset(small, 'x', 24);
        memset(arena_alloc(arena, 300000), 'y', 300000);
        assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
        arena_reset(arena);
        assert_true(arena_size_bytes(arena) < 100000);
    }
    arena_free(arena);
    arena_free(NULL);
}

static void without_memory_the_process_ends_as_after_what_may_pass(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        memory_or_die(NULL, 7);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_TEMPFAIL);
}

static void what_the_system_is_short_of_may_pass(void **state)
{
    (void)state;
    assert_int_equal(error_kind_of(EMFILE), ERROR_RETRY);
    assert_int_equal(error_kind_of(ENOSPC), ERROR_RETRY);
    assert_int_equal(error_kind_of(ENOBUFS), ERROR_RETRY);
    assert_int_equal(error_kind_of(ENOENT), ERROR_CONFIG);
    assert_int_equal(error_kind_of(EACCES), ERROR_CONFIG);
}

static void buf_grows_up_to_its_limit_and_remembers_that_it_was_passed(void **state)
{
    struct buf buf BUF_AUTO = {0};

    (void)state;
    buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%09d,", i);
    assert_int_equal(buf.size_bytes, 1000);
    assert_false(buf_is_full(&buf));
    buf_char(&buf, 'x');
    assert_true(buf_is_full(&buf));
    assert_int_equal(strlen(buf.data), 1000);
    buf_clear(&buf);
    buf_text(&buf, "again");
    assert_string_equal(buf.data, "again");
}

static void an_error_carries_its_kind_and_the_way_it_came(void **state)
{
    struct error err = {0};

    (void)state;
    assert_false(error_set(&err, ERROR_CONFIG, "no such table %s", "x"));
    assert_false(error_prefix(&err, "reading %s", "mappings"));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_string_equal(err.message, "reading mappings: no such table x");
    for (int i = 0; i < 1000; i++)
        error_prefix(&err, "deeper");
    assert_true(strlen(err.message) < ERROR_MESSAGE_BYTES);
}

static void positions_are_written_and_read_as_postgresql_does(void **state)
{
    static const char *const refused[] = {"",     "1",           "/1",  "1/",
                                          "1/2x", "123456789/0", "g/0", " 1/2"};
    lsn_t lsn = 0;

    (void)state;
    assert_true(lsn_parse("16/B374D848", &lsn));
    assert_true(lsn == 0x16B374D848);
    assert_string_equal(lsn_format(lsn).text, "16/B374D848");
    assert_string_equal(lsn_format(UINT64_MAX).text, "FFFFFFFF/FFFFFFFF");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(lsn_parse(refused[i], &lsn));
}

static void times_are_written_in_utc(void **state)
{
    (void)state;
    assert_string_equal(clock_format_utc(0).text, "1970-01-01T00:00:00.000000Z");
    assert_string_equal(clock_format_utc(-1).text, "1969-12-31T23:59:59.999999Z");
    assert_string_equal(clock_format_utc(1795255230123456).text, "2026-11-21T10:00:30.123456Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zeroed_and_reused_after_a_reset),
        cmocka_unit_test(without_memory_the_process_ends_as_after_what_may_pass),
        cmocka_unit_test(what_the_system_is_short_of_may_pass),
        cmocka_unit_test(buf_grows_up_to_its_limit_and_remembers_that_it_was_passed),
        cmocka_unit_test(an_error_carries_its_kind_and_the_way_it_came),
        cmocka_unit_test(positions_are_written_and_read_as_postgresql_does),
        cmocka_unit_test(times_are_written_in_utc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
