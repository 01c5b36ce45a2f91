/* sf/bulk_ingest: the cells that are sent, and the errors that come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sf/bulk_ingest.h"

static void a_cell_is_quoted_where_csv_needs_it(void **state)
{
    static const char *const cells[] = {"plain", "a,b", "say \"hi\"", "two\nlines", " led",
                                        NULL,    ""};
    struct buf csv BUF_AUTO = {0};

    (void)state;
    buf_init(&csv, 1000);
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        sf_ingest_cell(&csv, cells[i], i == 0);
    sf_ingest_end_row(&csv);
    assert_string_equal(csv.data,
                        "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\" led\",#N/A,\n");
}

/* What the reader of results takes apart is what went in, for every pair of awkward characters. */
static void what_is_written_is_read_the_same(void **state)
{
    static const char awkward[] = "a ,\"\r\n\t#";
    char text[3] = "";

    (void)state;
    for (const char *first = awkward; *first != '\0'; first++)
        for (const char *second = awkward; *second != '\0'; second++) {
            struct sf_csv *csv SF_CSV_AUTO = sf_csv_new();
            struct buf line BUF_AUTO = {0};
            struct sf_csv_row row;

            text[0] = *first;
            text[1] = *second;
            buf_init(&line, 100);
            sf_ingest_cell(&line, text, true);
            sf_ingest_cell(&line, "end", false);
            sf_ingest_end_row(&line);
            sf_csv_feed(csv, line.data, line.size_bytes);
            sf_csv_end(csv);
            assert_int_equal(sf_csv_next(csv, &row), SF_CSV_ROW);
            assert_int_equal(row.count, 2);
            assert_string_equal(row.cells[0], text);
        }
}

static void an_error_is_a_code_and_a_message(void **state)
{
    static const struct {
        const char *text, *code, *message;
    } errors[] = {
        {"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
         "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"},
        {"ENTITY_IS_DELETED:entity is deleted:--", "ENTITY_IS_DELETED", "entity is deleted"},
        {"ODD", "ODD", ""},
        {"", "", ""},
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        const char *code;
        const char *message;

        sf_ingest_read_error(errors[i].text, arena, &code, &message);
        assert_string_equal(code, errors[i].code);
        assert_string_equal(message, errors[i].message);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_is_quoted_where_csv_needs_it),
        cmocka_unit_test(what_is_written_is_read_the_same),
        cmocka_unit_test(an_error_is_a_code_and_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
