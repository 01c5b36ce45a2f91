#include "inbound/stage.h"

#include <inttypes.h>

#include "pg/copy.h"

enum { SQL_MAX_BYTES = 1 << 20 };

void stage_append_target(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
}

void stage_append_stage(struct buf *sql, const struct mapping *mapping)
{
    buf_printf(sql, "pg_temp.pgforce_stage_%" PRId64, mapping->id);
}

void stage_append_columns(struct buf *sql, const struct mapping *mapping, const char *prefix)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_printf(sql, "%s%s", i > 0 ? ", " : "", prefix);
        pg_append_identifier(sql, mapping->fields[i].column_name);
    }
}

/* ON COMMIT DELETE ROWS empties the file in place: unlike TRUNCATE it writes no catalog. */
static bool create_table(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "create temporary table if not exists pgforce_stage_%" PRId64
               " on commit delete rows as select ",
               mapping->id);
    stage_append_columns(&sql, mapping, "");
    buf_text(&sql, ", false as _pgforce_deleted from ");
    stage_append_target(&sql, mapping);
    buf_text(&sql, " with no data");
    return pg_script(pg, sql.data, err);
}

static void copy_values(struct copy *copy, const struct row *row)
{
    const struct value *values = row->op == ROW_DELETE ? row->old_values : row->new_values;

    for (size_t i = 0; i < row->relation->column_count; i++) {
        bool has_text = values[i].kind == VALUE_TEXT;

        copy_field(copy, has_text ? values[i].text : NULL, has_text ? values[i].size_bytes : 0);
    }
    copy_field(copy, row->op == ROW_DELETE ? "t" : "f", 1);
}

/* A failed COPY says why at its end. */
static void copy_changes(struct copy *copy, const struct changes *changes)
{
    struct error said_at_the_end;

    for (size_t i = 0; i < changes->count; i++) {
        copy_values(copy, &changes->events[i].row);
        if (!copy_end_row(copy, &said_at_the_end))
            return;
    }
}

bool stage_changes(struct pg *pg, const struct mapping *mapping, const struct changes *changes,
                   struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct copy copy;

    if (!create_table(pg, mapping, err))
        return error_prefix(err, "making the staging table");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "copy ");
    stage_append_stage(&sql, mapping);
    buf_text(&sql, " (");
    stage_append_columns(&sql, mapping, "");
    buf_text(&sql, ", _pgforce_deleted) from stdin");
    if (!copy_begin(&copy, pg, sql.data, err))
        return false;
    copy_changes(&copy, changes);
    return copy_end(&copy, err);
}
