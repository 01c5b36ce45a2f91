#include "inbound/statement.h"

#include <string.h>

#include "inbound/stage.h"

enum { SQL_MAX_BYTES = 1 << 20 };

struct word {
    const char *name;
    void (*append)(struct buf *sql, const struct mapping *mapping);
};

static void append_log(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, "_trigger_log");
}

static void append_name(struct buf *sql, const struct mapping *mapping)
{
    pg_append_literal(sql, mapping->table_name);
}

static void append_bare_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "");
}

static void append_stage_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "s.");
}

static void append_target_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "t.");
}

static void append_assignments(struct buf *sql, const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(sql, i > 0 ? ", " : "");
        pg_append_identifier(sql, mapping->fields[i].column_name);
        buf_text(sql, " = s.");
        pg_append_identifier(sql, mapping->fields[i].column_name);
    }
}

static void append_key_match(struct buf *sql, const struct mapping *mapping)
{
    if (mapping->upsert == NULL) {
        buf_text(sql, "false");
        return;
    }
    buf_text(sql, "t.");
    pg_append_identifier(sql, mapping->upsert->column_name);
    buf_text(sql, " = s.");
    pg_append_identifier(sql, mapping->upsert->column_name);
}

static void append_staged_key(struct buf *sql, const struct mapping *mapping)
{
    if (mapping->upsert == NULL) {
        buf_text(sql, "null::text");
        return;
    }
    buf_text(sql, "s.");
    pg_append_identifier(sql, mapping->upsert->column_name);
    buf_text(sql, "::text");
}

static void append_stamp(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, "s.");
    pg_append_identifier(sql, mapping->stamp->column_name);
}

/* What was read is not older than the row. */
static void append_is_newer(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, "(");
    append_stamp(sql, mapping);
    buf_text(sql, " >= t.");
    pg_append_identifier(sql, mapping->stamp->column_name);
    buf_text(sql, ") is not false");
}

static void append_id(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, pg_number(mapping->id).text);
}

static void append_gone(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, mapping->keeps_deleted ? "coalesce(t.isdeleted, false)" : "false");
}

/* What was read may be older than what was written. A time to come is one before the clock was set
 * back, and says nothing; the next poll has what was written. */
static void append_since(struct buf *sql, const struct mapping *mapping)
{
    (void)mapping;
    buf_text(sql, "between to_timestamp($1::bigint / 1000000.0) and clock_timestamp()");
}

static const struct word words[] = {
    {"@since", append_since},
    {"@stamp", append_stamp},
    {"@newer", append_is_newer},
    {"@tcols", append_target_columns},
    {"@scols", append_stage_columns},
    {"@cols", append_bare_columns},
    {"@set", append_assignments},
    {"@gone", append_gone},
    {"@id", append_id},
    {"@key", append_key_match},
    {"@skey", append_staged_key},
    {"@log", append_log},
    {"@t", stage_append_target},
    {"@s", stage_append_stage},
    {"@r", stage_append_rest},
    {"@n", append_name},
};

static const struct word *find_word(const char *at)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strncmp(at, words[i].name, strlen(words[i].name)) == 0)
            return &words[i];
    return NULL;
}

static void format_sql(struct buf *sql, const struct mapping *mapping, const char *format)
{
    buf_init(sql, SQL_MAX_BYTES);
    while (*format != '\0') {
        const struct word *word = *format == '@' ? find_word(format) : NULL;

        if (word == NULL) {
            buf_char(sql, *format++);
            continue;
        }
        word->append(sql, mapping);
        format += strlen(word->name);
    }
}

PGresult *statement_query(struct pg *pg, const struct mapping *mapping, const char *format,
                          struct pg_params params, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, mapping, format);
    return pg_query(pg, sql.data, params, err);
}

bool statement_send(struct pg *pg, const struct mapping *mapping, const char *format,
                    struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, mapping, format);
    return pg_send(pg, sql.data, PG_PARAMS(), err);
}

bool statement_run(struct pg *pg, const struct mapping *mapping, const char *format, int64_t *count,
                   struct error *err)
{
    PGresult *result PG_RESULT_AUTO = statement_query(pg, mapping, format, PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *count += pg_affected(result);
    return true;
}
