#include "inbound/stage.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "pg/copy.h"

enum { SQL_MAX_BYTES = 1 << 20 };

void stage_append_target(struct buf *sql, const struct mapping *mapping)
{
    pg_append_identifier(sql, mapping->schema_name);
    buf_char(sql, '.');
    pg_append_identifier(sql, mapping->table_name);
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
    buf_text(&sql, " from ");
    stage_append_target(&sql, mapping);
    buf_text(&sql, " with no data");
    return pg_script(pg, sql.data, err);
}

bool stage_drop(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "drop table if exists ");
    stage_append_stage(&sql, mapping);
    return pg_script(pg, sql.data, err);
}

/* "Parent.Key__c" stands in the answer as {"Parent": {"Key__c": ...}}; a missing parent is null. */
static const json_t *find_value(const json_t *record, const struct mapping_field *field)
{
    if (field->relationship_name == NULL)
        return json_object_get(record, field->field_name);
    return json_object_get(json_object_get(record, field->relationship_name),
                           field->reference_field);
}

/* All texts of a record, before any of them is copied: half a row cannot be taken back. */
static bool read_record(const struct mapping *mapping, const json_t *record, struct arena *arena,
                        const char **texts, struct error *err)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        const struct mapping_field *field = &mapping->fields[i];
        const json_t *value = find_value(record, field);

        texts[i] = NULL;
        if (value != NULL && !fieldtype_from_json(field->type, value, arena, &texts[i], err))
            return error_prefix(err, "%s", field->field_name);
    }
    return true;
}

static bool copy_record(struct copy *copy, const struct mapping *mapping, const char **texts,
                        struct error *err)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        copy_field(copy, texts[i], texts[i] != NULL ? strlen(texts[i]) : 0);
    return copy_end_row(copy, err);
}

static void report_refused(const struct mapping *mapping, const json_t *record,
                           const struct error *err)
{
    const char *id = json_string_value(json_object_get(record, "Id"));

    log_error("skipped a record", log_text("mapping", mapping->object_name), log_text("id", id),
              log_text("reason", err->message));
}

static bool copy_records(struct copy *copy, const struct mapping *mapping, const json_t *records,
                         struct arena *arena, int64_t *refused)
{
    const char **texts = arena_array(arena, const char *, mapping->field_count);
    struct error err = {0};
    json_t *record;
    size_t i;

    json_array_foreach(records, i, record)
    {
        if (!read_record(mapping, record, arena, texts, &err)) {
            report_refused(mapping, record, &err);
            (*refused)++;
        } else if (!copy_record(copy, mapping, texts, &err)) {
            return false;
        }
    }
    return true;
}

bool stage_records(struct pg *pg, const struct mapping *mapping, const json_t *records,
                   struct arena *arena, int64_t *refused, struct error *err)
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
    buf_text(&sql, ") from stdin");
    if (!copy_begin(&copy, pg, sql.data, err))
        return false;
    copy_records(&copy, mapping, records, arena, refused);
    return copy_end(&copy, err);
}
