/* sandbox/csv and its neighbours: what the Bulk API takes and refuses, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/csv.h"
#include "sandbox/multipart.h"
#include "sandbox/spool.h"

static const struct csv_format comma = {.delimiter = ','};
static const struct csv_format crlf = {.delimiter = ',', .is_crlf = true};

static int new_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int free_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static struct csv_reader reader_of(const char *text, struct csv_format format)
{
    return (struct csv_reader){.format = format, .data = text, .size_bytes = strlen(text)};
}

static void assert_row(const struct csv_row *row, const char *const *cells)
{
    size_t count = 0;

    while (cells[count] != NULL)
        count++;
    assert_int_equal(row->count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(row->cells[i], cells[i]);
}

#define assert_cells(row, ...) assert_row((row), (const char *const[]){__VA_ARGS__, NULL})

static void rows_are_read_with_their_quotes_and_line_ends(void **state)
{
    struct csv_reader reader =
        reader_of("Name,Note\n\n\"A \"\"b\"\"\",\"two\nlines, one cell\"\n,\nlast,x", comma);
    struct csv_row row;

    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_cells(&row, "Name", "Note");
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_cells(&row, "A \"b\"", "two\nlines, one cell");
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_cells(&row, "", "");
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_cells(&row, "last", "x");
    assert_int_equal(csv_read(&reader, *state, &row), CSV_END);
    assert_int_equal(csv_read(&reader, *state, &row), CSV_END);
}

static void a_row_knows_its_place_in_the_data(void **state)
{
    const char text[] = "a,b\r\n\"c\",\"d\"\r\n";
    struct csv_reader reader = reader_of(text, crlf);
    struct csv_row row;

    csv_read(&reader, *state, &row);
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_int_equal(row.end - row.start, strlen("\"c\",\"d\""));
    assert_memory_equal(text + row.start, "\"c\",\"d\"", row.end - row.start);
}

static void values_are_not_trimmed(void **state)
{
    struct csv_reader reader = reader_of(" a , b\t,\" c \"\n", comma);
    struct csv_row row;

    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_cells(&row, " a ", " b\t", " c ");
}

static void more_than_a_few_cells_fit(void **state)
{
    struct csv_reader reader;
    struct buf text BUF_AUTO = {0};
    struct csv_row row;

    buf_init(&text, 100000);
    for (int i = 0; i < CSV_MAX_CELLS - 1; i++)
        buf_printf(&text, "%d,", i);
    reader = reader_of(text.data, comma);
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_int_equal(row.count, CSV_MAX_CELLS);
    assert_string_equal(row.cells[4998], "4998");
    buf_text(&text, ",");
    reader = reader_of(text.data, comma);
    assert_int_equal(csv_read(&reader, *state, &row), CSV_BAD);
}

static void every_delimiter_has_its_name(void **state)
{
    static const char *const names[] = {"COMMA", "TAB", "PIPE", "CARET", "SEMICOLON", "BACKQUOTE"};
    static const char signs[] = ",\t|^;`";
    struct csv_format format;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(csv_find_format(names[i], "CRLF", &format));
        assert_int_equal(format.delimiter, signs[i]);
        assert_string_equal(csv_delimiter_name(&format), names[i]);
        assert_string_equal(csv_line_ending_name(&format), "CRLF");
    }
    assert_true(csv_find_format(NULL, NULL, &format));
    assert_string_equal(csv_delimiter_name(&format), "COMMA");
    assert_string_equal(csv_line_ending_name(&format), "LF");
    assert_false(csv_find_format("COLON", "LF", &format));
    assert_false(csv_find_format("COMMA", "CR", &format));
}

static void what_is_no_csv_is_refused_in_salesforces_words(void **state)
{
    static const char quote[] = "Found unescaped quote";
    static const struct {
        const char *text;
        bool is_crlf;
        const char *problem;
    } cases[] = {
        {"a\"b\n", false, quote},
        {"a, \"b\"\n", false, quote},
        {"\"a\" ,b\n", false, quote},
        {"\"a\"b\n", false, quote},
        {"\xef\xbb\xbf\"Id\"\n", false, quote},
        {"\"a\n", false, "EOF reached before closing an opened quote"},
        {"\"a\"\"\n", false, "EOF reached"},
        {"a,b\r\n", false, "Current LineEnding setting is LF"},
        {"\"a\",\"b\"\r\n", false, "Current LineEnding setting is LF"},
        {"\r\na", false, "Current LineEnding setting is LF"},
        {"a,b\n", true, "Current LineEnding setting is CRLF"},
        {"\"a\"\n", true, "Current LineEnding setting is CRLF"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct csv_reader reader = reader_of(cases[i].text, cases[i].is_crlf ? crlf : comma);
        struct csv_row row;

        assert_int_equal(csv_read(&reader, *state, &row), CSV_BAD);
        assert_non_null(strstr(reader.problem, cases[i].problem));
        assert_int_equal(csv_read(&reader, *state, &row), CSV_BAD);
    }
}

static void a_zero_byte_is_no_text(void **state)
{
    struct csv_reader reader = {.format = comma, .data = "a\0b\n", .size_bytes = 4};
    struct csv_row row;

    assert_int_equal(csv_read(&reader, *state, &row), CSV_BAD);
}

static void what_is_written_reads_back(void **state)
{
    static const char *const cells[] = {"", "plain", "\"", "a\"\"b", "line\r\nend", "x,y", NULL};
    struct csv_reader reader;
    struct buf out BUF_AUTO = {0};
    struct csv_row row;

    buf_init(&out, 1000);
    for (size_t i = 0; cells[i] != NULL; i++) {
        if (i > 0)
            buf_char(&out, ',');
        csv_write(&out, cells[i], strlen(cells[i]));
    }
    csv_write_end(&out, &crlf);
    assert_string_equal(out.data,
                        "\"\",\"plain\",\"\"\"\",\"a\"\"\"\"b\",\"line\r\nend\",\"x,y\"\r\n");
    reader = reader_of(out.data, crlf);
    assert_int_equal(csv_read(&reader, *state, &row), CSV_ROW);
    assert_row(&row, cells);
}

/* ---- spool ---- */

static void a_spool_holds_the_same_in_memory_and_in_a_file(void **state)
{
    enum { SHORT = 10, LONG = 1000000 };
    static const int sizes[] = {0, SHORT, LONG};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct spool *spool = spool_new();
        struct http_server_response response = {0};

        for (int j = 0; j < sizes[i]; j += SHORT)
            assert_true(spool_append(spool, "0123456789", SHORT, &err));
        assert_int_equal(spool_size(spool), sizes[i]);
        const char *view = spool_view(spool, &err);
        assert_non_null(view);
        for (int j = 0; j < sizes[i]; j++)
            assert_int_equal(view[j], '0' + j % SHORT);
        buf_init(&response.body, LONG);
        assert_true(spool_send(spool, 0, spool_size(spool), &response, &err));
        assert_int_equal(response.body.size_bytes + (size_t)response.file.size_bytes, sizes[i]);
        assert_int_equal(response.file.size_bytes > 0, sizes[i] == LONG);
        buf_done(&response.body);
        spool_free(spool);
    }
}

/* ---- multipart ---- */

static const char *find_part(const char *boundary, const char *text, const char *name, size_t *size)
{
    struct multipart_body body = {
        .content_type = boundary, .data = text, .size_bytes = strlen(text)};

    return multipart_find(&body, name, size);
}

static void parts_are_found_by_name(void **state)
{
    static const char type[] = "multipart/form-data; boundary=\"xyz\"";
    static const char text[] = "--xyz\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}\r\n"
                               "--xyz\r\nContent-Disposition: form-data; name=\"content\"; "
                               "filename=\"content\"\r\nContent-Type: text/csv\r\n\r\n"
                               "Name\nA\n\r\n--xyz--\r\n";
    size_t size = 0;

    (void)state;
    assert_true(multipart_is(type));
    assert_false(multipart_is("text/csv"));
    assert_memory_equal(find_part(type, text, "job", &size), "{}", 2);
    assert_int_equal(size, 2);
    assert_memory_equal(find_part(type, text, "content", &size), "Name\nA\n", 7);
    assert_int_equal(size, 7);
    assert_null(find_part(type, text, "nothing", &size));
}

static void a_torn_multipart_body_has_no_parts(void **state)
{
    size_t size = 0;

    (void)state;
    assert_null(find_part("multipart/form-data", "--x\r\n\r\nA\r\n--x--", "job", &size));
    assert_null(find_part("multipart/form-data; boundary=x",
                          "--x\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}", "job",
                          &size));
    assert_null(find_part("multipart/form-data; boundary=x", "", "job", &size));
    assert_null(find_part("multipart/form-data; boundary=x", "--x--x--x", "job", &size));
}

#define csv_test(test) cmocka_unit_test_setup_teardown(test, new_arena, free_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        csv_test(rows_are_read_with_their_quotes_and_line_ends),
        csv_test(a_row_knows_its_place_in_the_data),
        csv_test(values_are_not_trimmed),
        csv_test(more_than_a_few_cells_fit),
        cmocka_unit_test(every_delimiter_has_its_name),
        csv_test(what_is_no_csv_is_refused_in_salesforces_words),
        csv_test(a_zero_byte_is_no_text),
        csv_test(what_is_written_reads_back),
        cmocka_unit_test(a_spool_holds_the_same_in_memory_and_in_a_file),
        cmocka_unit_test(parts_are_found_by_name),
        cmocka_unit_test(a_torn_multipart_body_has_no_parts),
    };

    return cmocka_run_group_tests_name("sandbox/csv", tests, NULL, NULL);
}
