#include "inbound/write_rows.h"

#include "inbound/stage.h"
#include "inbound/statement.h"

/* Pieces that are tried at once while some of the rows are refused. */
enum { FIRST_PIECE = 64, LARGEST_PIECE = 4096 };

static bool write_deletions(struct pg *pg, const struct mapping *mapping,
                            struct apply_report *report, struct error *err)
{
    return statement_run(pg, mapping,
                         mapping->keeps_deleted
                             ? "update @t t set isdeleted = true, _hc_lastop = 'SYNCED'"
                               " from @s s"
                               " where t.sfid = s.sfid and s._pgforce_deleted and not @gone"
                             : "delete from @t t"
                               " using @s s"
                               " where t.sfid = s.sfid and s._pgforce_deleted",
                         &report->deleted, err) &&
           statement_run(pg, mapping, "delete from @s s where s._pgforce_deleted", &(int64_t){0},
                         err);
}

/* Rows that wait for their sfid, and new ones. */
static bool write_unknown(struct pg *pg, const struct apply_page *page, struct apply_report *report,
                          struct error *err)
{
    return statement_run(pg, page->mapping,
                         "update @t t"
                         " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                         " from @s s"
                         " where t.sfid is null"
                         " and @key",
                         &report->updated, err) &&
           statement_run(pg, page->mapping,
                         page->is_initial
                             ? "insert into @t (@cols, _hc_lastop) select @scols, null from @s s"
                               " where not exists (select from @t t where t.sfid = s.sfid)"
                             : "insert into @t (@cols, _hc_lastop) select @scols, 'SYNCED'"
                               " from @s s"
                               " where not exists (select from @t t where t.sfid = s.sfid)",
                         &report->inserted, err);
}

bool write_rows(struct pg *pg, const struct apply_page *page, struct apply_report *report,
                struct error *err)
{
    const struct mapping *mapping = page->mapping;
    int64_t known = 0;

    if (!write_deletions(pg, mapping, report, err) ||
        !statement_run(pg, mapping,
                       page->is_old ? "update @t t"
                                      " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                                      " from @s s"
                                      " where t.sfid = s.sfid and @newer"
                                    : "update @t t"
                                      " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                                      " from @s s"
                                      " where t.sfid = s.sfid",
                       &known, err))
        return false;
    report->updated += known;
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping, "select count(*) from @s", PG_PARAMS(), err);
    if (result == NULL)
        return false;
    return pg_field_int64(result, 0, 0) == known || write_unknown(pg, page, report, err);
}

static bool put_all_aside(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    int64_t ignored = 0;

    return stage_make_rest(pg, mapping, err) &&
           statement_run(pg, mapping, "insert into @r select * from @s", &ignored, err) &&
           statement_run(pg, mapping, "delete from @s", &ignored, err);
}

/* Moves up to `piece` rows back into the staging table. */
static bool take_piece(struct pg *pg, const struct mapping *mapping, int piece, int64_t *taken,
                       struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping,
                        "with piece as ("
                        "delete from @r where ctid = any(array(select ctid from @r limit $1))"
                        " returning *)"
                        " insert into @s select * from piece",
                        PG_PARAMS(pg_number(piece).text), err);

    if (result == NULL)
        return false;
    *taken = pg_affected(result);
    return true;
}

/* Whatever is left in the staging table has been written. */
static bool empty_stage(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    int64_t ignored = 0;

    return statement_run(pg, mapping, "delete from @s", &ignored, err);
}

/* ERROR_NONE in *why when it was written, ERROR_RECORD when it was refused: then it is as before.
 */
static bool try_staged(struct pg *pg, const struct write_rows_attempt *attempt,
                       struct apply_report *report, struct error *why, struct error *err)
{
    struct apply_report sum = *report;

    *why = (struct error){0};
    if (!pg_script(pg, "savepoint pgforce_attempt", err))
        return false;
    if (attempt->run(attempt->context, attempt->page, &sum, why)) {
        *report = sum;
        *why = (struct error){0};
        return pg_script(pg, "release savepoint pgforce_attempt", err);
    }
    if (why->kind == ERROR_RECORD)
        return pg_script(pg,
                         "rollback to savepoint pgforce_attempt;"
                         " release savepoint pgforce_attempt",
                         err);
    *err = *why;
    return false;
}

static bool refuse_staged(struct pg *pg, const struct mapping *mapping, struct refusals *refusals,
                          const struct error *why, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping, "select sfid from @s", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    refusals_add(refusals, pg_field(result, 0, 0), "%s", why->message);
    return empty_stage(pg, mapping, err);
}

/* Back to what is put off. */
static bool return_piece(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    int64_t ignored = 0;

    return statement_run(pg, mapping, "insert into @r select * from @s", &ignored, err) &&
           empty_stage(pg, mapping, err);
}

static bool write_in_pieces(struct pg *pg, const struct write_rows_attempt *attempt,
                            struct refusals *refusals, struct apply_report *report,
                            struct error *err)
{
    const struct mapping *mapping = attempt->page->mapping;
    int piece = FIRST_PIECE;
    int64_t taken;
    struct error why;

    for (;;) {
        if (!take_piece(pg, mapping, piece, &taken, err))
            return false;
        if (taken == 0)
            return true;
        if (!try_staged(pg, attempt, report, &why, err))
            return false;
        bool is_written = why.kind == ERROR_NONE;
        bool is_done = is_written   ? empty_stage(pg, mapping, err)
                       : taken == 1 ? refuse_staged(pg, mapping, refusals, &why, err)
                                    : return_piece(pg, mapping, err);
        if (!is_done)
            return false;
        if (is_written)
            piece = piece < LARGEST_PIECE ? 2 * piece : LARGEST_PIECE;
        else
            piece = piece > 4 ? piece / 4 : 1;
    }
}

bool write_rows_or_refuse(struct pg *pg, const struct write_rows_attempt *attempt,
                          struct refusals *refusals, struct apply_report *report, struct error *err)
{
    struct error why;

    if (!try_staged(pg, attempt, report, &why, err))
        return false;
    if (why.kind == ERROR_NONE)
        return true;
    return put_all_aside(pg, attempt->page->mapping, err) &&
           write_in_pieces(pg, attempt, refusals, report, err);
}
