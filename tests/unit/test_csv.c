/* The reader of Bulk results: what it reads does not depend on where the pieces are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "sf/csv.h"

static void append_row(struct buf *out, const struct sf_csv_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        assert_int_equal(row->cells[i][row->sizes[i]], '\0');
        buf_char(out, '[');
        buf_append(out, row->cells[i], row->sizes[i]);
        buf_char(out, ']');
    }
    buf_char(out, ';');
}

/* Feeds text in pieces and appends what is read: cells in [], rows ended by ;, and the problem
 * behind !. */
static void read_in_pieces(const char *text, size_t piece_bytes, struct buf *out)
{
    struct sf_csv *csv SF_CSV_AUTO = sf_csv_new();
    enum sf_csv_result result;
    struct sf_csv_row row;
    bool is_ended = false;

    while ((result = sf_csv_next(csv, &row)) != SF_CSV_BAD) {
        size_t size_bytes = strnlen(text, piece_bytes);

        if (result == SF_CSV_ROW) {
            append_row(out, &row);
            continue;
        }
        if (is_ended)
            return;
        is_ended = size_bytes == 0;
        if (is_ended)
            sf_csv_end(csv);
        else
            sf_csv_feed(csv, text, size_bytes);
        text += size_bytes;
    }
    buf_printf(out, "!%s", sf_csv_problem(csv));
}

static void assert_reads(const char *text, const char *expected)
{
    for (size_t piece_bytes = 1; piece_bytes <= strlen(text) + 1; piece_bytes++) {
        struct buf out BUF_AUTO = {0};

        buf_init(&out, 1 << 20);
        read_in_pieces(text, piece_bytes, &out);
        assert_string_equal(out.data, expected);
    }
}

static void test_cells_and_rows(void **state)
{
    (void)state;
    assert_reads("\"Id\",\"Name\"\n\"1\",\"Acme\"\n", "[Id][Name];[1][Acme];");
    assert_reads("a,b\n1,2", "[a][b];[1][2];");
    assert_reads("a,\n,b\n,", "[a][];[][b];[][];");
    assert_reads("\"a\"\r\nb\r\n", "[a];[b];");
}

static void test_quotes_commas_and_line_ends_inside_quotes(void **state)
{
    (void)state;
    assert_reads("\"a \"\"b\"\"\",\"c,d\"\n\"e\nf\",\"g\r\nh\"\n",
                 "[a \"b\"][c,d];[e\nf][g\r\nh];");
    assert_reads("\"\"\"\",\"\"\n", "[\"][];");
    assert_reads("\"\"\n", "[];");
    assert_reads("\" a \", b \n", "[ a ][ b ];");
}

static void test_empty_lines_are_no_rows(void **state)
{
    (void)state;
    assert_reads("", "");
    assert_reads("\n\r\na\n\nb\n\n", "[a];[b];");
}

static void test_a_carriage_return_in_a_bare_cell_is_text(void **state)
{
    (void)state;
    assert_reads("a\rb,c\r\r\n", "[a\rb][c\r];");
}

static void test_what_is_broken_is_refused(void **state)
{
    (void)state;
    assert_reads("\"a\n", "!the text ends inside quotes");
    assert_reads("\"a\"b\n", "!a quoted cell goes on behind its quote");
    assert_reads("a\"b\n", "!a quote stands inside a cell without quotes");
    assert_reads("a\n\"b\"\rc\n", "[a];!a carriage return stands behind a quoted cell");
    assert_reads("\"b\"\r", "!the text ends in a carriage return");
}

static void test_zero_bytes_are_kept(void **state)
{
    struct sf_csv *csv SF_CSV_AUTO = sf_csv_new();
    struct sf_csv_row row;

    (void)state;
    sf_csv_feed(csv, "\"a\0b\",c\n", 8);
    assert_int_equal(sf_csv_next(csv, &row), SF_CSV_ROW);
    assert_int_equal(row.count, 2);
    assert_int_equal(row.sizes[0], 3);
    assert_memory_equal(row.cells[0], "a\0b", 4);
}

static void test_rows_and_cells_have_bounds(void **state)
{
    struct sf_csv *csv SF_CSV_AUTO = sf_csv_new();
    struct sf_csv *wide SF_CSV_AUTO = sf_csv_new();
    struct sf_csv_row row;
    static char block[1 << 20];

    (void)state;
    memset(block, 'x', sizeof(block));
    sf_csv_feed(csv, "\"", 1);
    for (size_t fed = 0; fed <= SF_CSV_ROW_BYTES; fed += sizeof(block)) {
        assert_int_equal(sf_csv_next(csv, &row), SF_CSV_MORE);
        sf_csv_feed(csv, block, sizeof(block));
    }
    sf_csv_next(csv, &row);
    sf_csv_feed(csv, block, 1);
    assert_int_equal(sf_csv_next(csv, &row), SF_CSV_BAD);

    memset(block, ',', SF_CSV_CELLS + 1);
    sf_csv_feed(wide, block, SF_CSV_CELLS + 1);
    assert_int_equal(sf_csv_next(wide, &row), SF_CSV_BAD);
    assert_string_equal(sf_csv_problem(wide), "a row has too many cells");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_and_rows),
        cmocka_unit_test(test_quotes_commas_and_line_ends_inside_quotes),
        cmocka_unit_test(test_empty_lines_are_no_rows),
        cmocka_unit_test(test_a_carriage_return_in_a_bare_cell_is_text),
        cmocka_unit_test(test_what_is_broken_is_refused),
        cmocka_unit_test(test_zero_bytes_are_kept),
        cmocka_unit_test(test_rows_and_cells_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
