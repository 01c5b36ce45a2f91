#include "inbound/announce.h"

#include <string.h>

#include "base/buf.h"
#include "inbound/statement.h"

enum { SQL_MAX_BYTES = 1 << 20 };

bool announce_is_needed(struct pg *pg, const struct mapping *mapping, bool *is_needed,
                        struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select exists (select from pg_trigger g"
                 " join pg_class c on c.oid = g.tgrelid"
                 " join pg_namespace n on n.oid = c.relnamespace"
                 " where n.nspname = $1"
                 " and c.relname = $2"
                 " and not g.tgisinternal"
                 " and g.tgenabled in ('O', 'A')"
                 /* INSERT, DELETE or UPDATE: pg_trigger.h */
                 " and g.tgtype & (4 | 8 | 16) <> 0)",
                 PG_PARAMS(mapping->schema_name, mapping->table_name), err);

    if (result == NULL)
        return error_prefix(err, "looking for triggers of %s", mapping->table_name);
    *is_needed = pg_field_bool(result, 0, 0);
    return true;
}

bool announce_was_not_needed(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    bool is_needed;

    return announce_is_needed(pg, mapping, &is_needed, err) &&
           (!is_needed ||
            error_set(err, ERROR_RETRY, "a trigger of %s was made meanwhile", mapping->table_name));
}

/* As the stream will have it: a boolean's own text is "t", a cast makes it "true". */
static void append_text(struct buf *sql, const struct mapping_field *field)
{
    bool is_boolean = strcmp(field->column_type, "boolean") == 0;

    buf_text(sql, is_boolean ? "left(s." : "s.");
    pg_append_identifier(sql, field->column_name);
    buf_text(sql, is_boolean ? "::text, 1)" : "::text");
}

bool announce_staged(struct pg *pg, const struct mapping *mapping, const char *record_ids,
                     struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select count(pg_logical_emit_message(true, 'pgforce.wrote',"
                   " json_build_array(@n, s._pgforce_deleted, json_object(array[");
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(&sql, i > 0 ? ", " : "");
        pg_append_literal(&sql, mapping->fields[i].column_name);
    }
    buf_text(&sql, "], array[");
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(&sql, i > 0 ? ", " : "");
        append_text(&sql, &mapping->fields[i]);
    }
    buf_text(&sql, "]))::text)) from @s s where $1::integer[] is null"
                   " or s.sfid in (select t.sfid from @t t where t.id = any($1::integer[]))");
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping, sql.data, PG_PARAMS(record_ids), err);
    return result != NULL || error_prefix(err, "announcing what is to be written");
}
