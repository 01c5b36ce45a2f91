#include "mapping/dependants.h"

#include <string.h>

/* The column: its table's oid and its number. */
#define COLUMN                                                                                     \
    " (select c.oid as relid, a.attnum"                                                            \
    " from pg_class c"                                                                             \
    " join pg_namespace n on n.oid = c.relnamespace"                                               \
    " join pg_attribute a on a.attrelid = c.oid"                                                   \
    " where n.nspname = $1 and c.relname = $2 and a.attname = $3)"

/* The views whose query names the column. */
#define VIEWS                                                                                      \
    " select distinct r.ev_class as oid"                                                           \
    " from k"                                                                                      \
    " join pg_depend d on d.refclassid = 'pg_class'::regclass"                                     \
    " and d.refobjid = k.relid and d.refobjsubid = k.attnum"                                       \
    " and d.classid = 'pg_rewrite'::regclass"                                                      \
    " join pg_rewrite r on r.oid = d.objid and r.ev_class <> k.relid"

bool dependants_read(struct pg *pg, const struct dependants_column *column, struct arena *arena,
                     struct dependants *out, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "with k as" COLUMN ", v as (" VIEWS ")"
        " select case c.relkind when 'm' then 'materialised view' else 'view' end,"
        " v.oid::regclass::text, c.relkind = 'v'"
        " from v join pg_class c on c.oid = v.oid"
        " union all"
        " select 'generated column', a.attname, false"
        " from k"
        " join pg_depend d on d.refclassid = 'pg_class'::regclass"
        " and d.refobjid = k.relid and d.refobjsubid = k.attnum"
        " and d.classid = 'pg_attrdef'::regclass"
        " join pg_attrdef f on f.oid = d.objid"
        " join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum"
        " where a.attgenerated <> '' and not (a.attrelid = k.relid and a.attnum = k.attnum)"
        " union all"
        " select 'foreign key', o.conname || ' of ' || o.conrelid::regclass::text, false"
        " from k join pg_constraint o on o.contype = 'f'"
        " and ((o.conrelid = k.relid and k.attnum = any(o.conkey))"
        " or (o.confrelid = k.relid and k.attnum = any(o.confkey)))"
        " where $4::boolean"
        " order by 1, 2",
        PG_PARAMS(column->mapping->schema_name, column->mapping->table_name, column->name,
                  column->is_dropped ? "t" : "f"),
        err);

    if (result == NULL)
        return error_prefix(err, "looking for what depends on column %s", column->name);
    out->count = (size_t)PQntuples(result);
    out->items = arena_array(arena, struct dependant, out->count + 1);
    for (size_t i = 0; i < out->count; i++)
        out->items[i] = (struct dependant){arena_strdup(arena, pg_field(result, (int)i, 0)),
                                           arena_strdup(arena, pg_field(result, (int)i, 1)),
                                           pg_field_bool(result, (int)i, 2)};
    return true;
}

/* ---- putting views aside ---- */

/* Views on views come after those they stand on: depth is the longest way down. */
static PGresult *select_views(struct pg *pg, const struct dependants_column *column,
                              struct error *err)
{
    return pg_query(
        pg,
        "with recursive k as" COLUMN ", first as (" VIEWS "),"
        " all_views(oid, depth) as ("
        "select oid, 1 from first"
        " union"
        " select r.ev_class, v.depth + 1"
        " from all_views v"
        " join pg_depend d on d.refclassid = 'pg_class'::regclass"
        " and d.refobjid = v.oid and d.classid = 'pg_rewrite'::regclass"
        " join pg_rewrite r on r.oid = d.objid and r.ev_class <> v.oid)"
        " select v.oid, v.oid::regclass::text, c.relkind = 'v'"
        " from (select oid, max(depth) as depth from all_views group by oid) v"
        " join pg_class c on c.oid = v.oid"
        " order by v.depth, v.oid",
        PG_PARAMS(column->mapping->schema_name, column->mapping->table_name, column->name), err);
}

/* Each row is a statement, in the order in which they are to run. */
static PGresult *select_statements(struct pg *pg, const char *oid, struct error *err)
{
    return pg_query(
        pg,
        "with v as (select c.*, c.oid::regclass::text as name from pg_class c where c.oid = $1),"
        " s(place, text) as ("
        "select 1, format('create view %s%s as %s', name,"
        " ' with (' || array_to_string(reloptions, ', ') || ')', pg_get_viewdef(oid)) from v"
        " union all"
        " select 2, format('alter view %s alter column %I set default %s', name, a.attname,"
        " pg_get_expr(f.adbin, f.adrelid))"
        " from v join pg_attrdef f on f.adrelid = v.oid"
        " join pg_attribute a on a.attrelid = v.oid and a.attnum = f.adnum"
        " union all"
        " select 3, pg_get_triggerdef(t.oid)"
        " from v join pg_trigger t on t.tgrelid = v.oid and not t.tgisinternal"
        " union all"
        " select 4, format('comment on view %s is %L', name, d.description)"
        " from v join pg_description d on d.objoid = v.oid and d.objsubid = 0"
        " and d.classoid = 'pg_class'::regclass"
        " union all"
        " select 4, format('comment on column %s.%I is %L', name, a.attname, d.description)"
        " from v join pg_description d on d.objoid = v.oid and d.classoid = 'pg_class'::regclass"
        " join pg_attribute a on a.attrelid = v.oid and a.attnum = d.objsubid"
        " union all"
        " select 5, format('grant %s on %s to %s%s', g.privilege_type, name,"
        " case when g.grantee = 0 then 'public' else g.grantee::regrole::text end,"
        " case when g.is_grantable then ' with grant option' else '' end)"
        " from v cross join aclexplode(relacl) g"
        " where g.grantee <> relowner"
        " union all"
        " select 5, format('grant %s (%I) on %s to %s%s', g.privilege_type, a.attname, name,"
        " case when g.grantee = 0 then 'public' else g.grantee::regrole::text end,"
        " case when g.is_grantable then ' with grant option' else '' end)"
        " from v join pg_attribute a on a.attrelid = v.oid cross join aclexplode(a.attacl) g"
        " union all"
        " select 6, format('alter view %s owner to %s', name, relowner::regrole) from v"
        " where relowner <> (select oid from pg_roles where rolname = current_user))"
        " select text from s order by place",
        PG_PARAMS(oid), err);
}

static void append(struct dependants_aside *aside, const char *text)
{
    if (aside->count == aside->room) {
        size_t room = aside->room * 2 + 16;
        const char **larger = arena_array(aside->arena, const char *, room);

        if (aside->count > 0)
            memcpy(larger, aside->statements, aside->count * sizeof(*larger));
        aside->statements = larger;
        aside->room = room;
    }
    aside->statements[aside->count++] = arena_strdup(aside->arena, text);
}

static bool remember(struct pg *pg, const char *oid, struct dependants_aside *aside,
                     struct error *err)
{
    PGresult *result PG_RESULT_AUTO = select_statements(pg, oid, err);

    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        append(aside, pg_field(result, i, 0));
    return true;
}

static bool drop(struct pg *pg, const char *name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_printf(&sql, "drop view %s", name);
    return pg_script(pg, sql.data, err) || error_prefix(err, "putting view %s aside", name);
}

bool dependants_put_aside(struct pg *pg, const struct dependants_column *column,
                          struct dependants_aside *aside, struct error *err)
{
    PGresult *views PG_RESULT_AUTO = select_views(pg, column, err);

    if (views == NULL)
        return false;
    for (int i = 0; i < PQntuples(views); i++) {
        if (!pg_field_bool(views, i, 2))
            return error_set(err, ERROR_CONFIG,
                             "the materialised view %s depends on column %s: drop it, and make it"
                             " again afterwards",
                             pg_field(views, i, 1), column->name);
        if (!remember(pg, pg_field(views, i, 0), aside, err))
            return false;
    }
    for (int i = PQntuples(views) - 1; i >= 0; i--)
        if (!drop(pg, pg_field(views, i, 1), err))
            return false;
    return true;
}

/* What is refused here is the operator's to mend: a view of another owner, or one that names a
 * column that is gone. */
bool dependants_restore(struct pg *pg, struct dependants_aside *aside, struct error *err)
{
    for (size_t i = 0; i < aside->count; i++)
        if (!pg_script(pg, aside->statements[i], err)) {
            if (err->kind == ERROR_RECORD || err->kind == ERROR_BUG)
                err->kind = ERROR_CONFIG;
            return error_prefix(err, "making a view again (%.100s)", aside->statements[i]);
        }
    aside->count = 0;
    return true;
}
