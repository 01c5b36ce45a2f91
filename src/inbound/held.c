#include "inbound/held.h"

#include "base/buf.h"
#include "inbound/statement.h"

enum { SQL_MAX_BYTES = 64 * 1024 };

static int64_t older(int64_t left_us, int64_t right_us)
{
    if (left_us == 0 || right_us == 0)
        return left_us + right_us;
    return left_us < right_us ? left_us : right_us;
}

void held_add(struct held *held, const struct held *more)
{
    held->count += more->count;
    held->deletions += more->deletions;
    held->left += more->left;
    held->oldest_us = older(held->oldest_us, more->oldest_us);
}

void held_note(struct held *held, int64_t stamp_us)
{
    held_add(held, &(struct held){.count = 1, .oldest_us = stamp_us});
}

bool held_take_out(struct pg *pg, const struct held_rows *rows, struct held *held,
                   struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "with gone as (%s returning s._pgforce_deleted as is_deletion, @stamp as stamp,"
               " (%s) is not true as is_held)"
               " select count(*) filter (where is_held),"
               " count(*) filter (where is_held and is_deletion),"
               " (extract(epoch from min(stamp) filter (where is_held)) * 1000000)::bigint,"
               " count(*) filter (where not is_held)"
               " from gone",
               rows->format, rows->unless != NULL ? rows->unless : "false");
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, rows->mapping, sql.data, rows->params, err);
    if (result == NULL)
        return false;
    held_add(held, &(struct held){.count = pg_field_int64(result, 0, 0),
                                  .deletions = pg_field_int64(result, 0, 1),
                                  .oldest_us = pg_field_int64(result, 0, 2),
                                  .left = pg_field_int64(result, 0, 3)});
    return true;
}
