#include "inbound/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mapping/schema.h"

enum { SQL_MAX_BYTES = 1 << 20 };

void stage_append_target(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
}

void stage_append_stage(struct buf *sql, const struct mapping *mapping)
{
    buf_printf(sql, "pg_temp.pgforce_stage_%" PRId64, mapping->id);
}

void stage_append_rest(struct buf *sql, const struct mapping *mapping)
{
    buf_printf(sql, "pg_temp.pgforce_rest_%" PRId64, mapping->id);
}

bool stage_make_rest(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "create temporary table if not exists ");
    stage_append_rest(&sql, mapping);
    buf_text(&sql, " (like ");
    stage_append_stage(&sql, mapping);
    buf_text(&sql, ") on commit delete rows");
    return pg_script(pg, sql.data, err);
}

bool stage_return_rest(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "insert into ");
    stage_append_stage(&sql, mapping);
    buf_text(&sql, " select * from ");
    stage_append_rest(&sql, mapping);
    buf_text(&sql, "; delete from ");
    stage_append_rest(&sql, mapping);
    return pg_script(pg, sql.data, err);
}

void stage_append_columns(struct buf *sql, const struct mapping *mapping, const char *prefix)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_printf(sql, "%s%s", i > 0 ? ", " : "", prefix);
        pg_append_identifier(sql, mapping->fields[i].column_name);
    }
}

void stage_append_unbound(struct buf *sql, const struct mapping *mapping,
                          const struct mapping_field *field)
{
    bool is_text = field != mapping->id_field && schema_is_text(field->column_type);

    pg_append_identifier(sql, field->column_name);
    if (is_text) {
        buf_text(sql, "::text as ");
        pg_append_identifier(sql, field->column_name);
    }
    buf_text(sql, ", ");
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
    for (size_t i = 0; i < mapping->field_count; i++)
        stage_append_unbound(&sql, mapping, &mapping->fields[i]);
    buf_text(&sql, "false as _pgforce_deleted from ");
    stage_append_target(&sql, mapping);
    buf_text(&sql, " with no data");
    return pg_script(pg, sql.data, err) || error_prefix(err, "making the staging table");
}

static bool begin_copy(struct stage *stage, struct pg *pg, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "copy ");
    if (stage->is_direct)
        stage_append_target(&sql, stage->mapping);
    else
        stage_append_stage(&sql, stage->mapping);
    buf_text(&sql, " (");
    stage_append_columns(&sql, stage->mapping, "");
    buf_printf(&sql, ", %s) from stdin", stage->is_direct ? "_hc_lastop" : "_pgforce_deleted");
    return copy_begin(&stage->copy, pg, sql.data, err);
}

static int width_of(const struct mapping_field *field)
{
    int width = 0;

    sscanf(field->column_type, "varchar(%d)", &width);
    return width;
}

bool stage_begin(struct stage *stage, struct pg *pg, struct arena *arena, struct error *err)
{
    const struct mapping *mapping = stage->mapping;

    stage->widths = arena_array(arena, int, mapping->field_count);
    for (size_t i = 0; i < mapping->field_count; i++)
        stage->widths[i] = width_of(&mapping->fields[i]);
    return (stage->is_direct || create_table(pg, mapping, err)) && begin_copy(stage, pg, err);
}

static int count_characters(const struct value *value)
{
    int count = 0;

    for (size_t i = 0; i < value->size_bytes; i++)
        count += ((unsigned char)value->text[i] & 0xc0) != 0x80;
    return count;
}

/* How many characters the value has, if that is more than its column takes; else 0. */
static int excess_of(const struct value *value, int width)
{
    if (width == 0 || value->kind != VALUE_TEXT || value->size_bytes <= (size_t)width)
        return 0;
    int characters = count_characters(value);
    return characters > width ? characters : 0;
}

static const struct value *values_of(const struct row *row)
{
    return row->op == ROW_DELETE ? row->old_values : row->new_values;
}

static void refuse(struct stage *stage, const struct row *row, const struct mapping_field *field)
{
    const struct mapping *mapping = stage->mapping;
    const struct value *id = &values_of(row)[mapping->id_field - mapping->fields];

    refusals_add(stage->refusals, id->kind == VALUE_TEXT ? id->text : "",
                 "a value is too long for column %s, which cannot grow", field->column_name);
}

/* False when the row is not to be copied: refused (err is not set), or too long (narrow is set). */
static bool fits(struct stage *stage, const struct row *row)
{
    const struct mapping *mapping = stage->mapping;
    const struct value *values = values_of(row);

    for (size_t i = 0; i < mapping->field_count; i++) {
        int characters = excess_of(&values[i], stage->widths[i]);

        if (characters == 0)
            continue;
        if (growth_is_stuck(stage->growth, mapping, &mapping->fields[i])) {
            refuse(stage, row, &mapping->fields[i]);
        } else {
            stage->narrow = &mapping->fields[i];
            stage->narrow_characters = characters;
        }
        return false;
    }
    return true;
}

bool stage_put(struct stage *stage, const struct row *row, struct error *err)
{
    const struct value *values = values_of(row);
    bool is_delete = row->op == ROW_DELETE;

    if (stage->is_direct && is_delete)
        return true;
    if (!fits(stage, row))
        return stage->narrow == NULL ||
               error_set(err, ERROR_RECORD, "a value is too long for column %s",
                         stage->narrow->column_name);
    for (size_t i = 0; i < stage->mapping->field_count; i++) {
        bool has_text = values[i].kind == VALUE_TEXT;

        copy_field(&stage->copy, has_text ? values[i].text : NULL,
                   has_text ? values[i].size_bytes : 0);
    }
    if (stage->is_direct)
        copy_field(&stage->copy, NULL, 0);
    else
        copy_field(&stage->copy, is_delete ? "t" : "f", 1);
    stage->rows++;
    return copy_end_row(&stage->copy, err);
}

bool stage_end(struct stage *stage, struct error *err)
{
    return copy_end(&stage->copy, err);
}

void stage_abort(struct stage *stage)
{
    copy_abort(&stage->copy);
}
