#include "tables.h"

#include "change.pb-c.h"

#include "access/sysattr.h"
#include "catalog/partition.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* Tables that were made and dropped again leave their entries; beyond this many they are looked
 * for. */
enum { MANY_TABLES = 4096 };

/* Callbacks cannot be unregistered, so they are registered once and look here for who is alive. */
static slist_head alive = SLIST_STATIC_INIT(alive);

static void mark_table(Datum unused, Oid id)
{
    slist_iter iter;

    (void)unused;
    slist_foreach(iter, &alive)
    {
        struct tables *tables = slist_container(struct tables, node, iter.cur);
        struct table *table;

        if (!OidIsValid(id)) {
            tables->generation++;
            continue;
        }
        table = hash_search(tables->by_id, &id, HASH_FIND, NULL);
        if (table != NULL)
            table->is_stale = true;
    }
}

static void mark_all(Datum unused, int cache, uint32 hash)
{
    (void)cache;
    (void)hash;
    mark_table(unused, InvalidOid);
}

static void register_callbacks(void)
{
    static bool is_registered = false;

    if (is_registered)
        return;
    CacheRegisterRelcacheCallback(mark_table, (Datum)0);
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, mark_all, (Datum)0);
    CacheRegisterSyscacheCallback(AUTHOID, mark_all, (Datum)0);
    CacheRegisterSyscacheCallback(NAMESPACEOID, mark_all, (Datum)0);
    CacheRegisterSyscacheCallback(TYPEOID, mark_all, (Datum)0);
    is_registered = true;
}

static void forget(void *tables)
{
    slist_delete(&alive, &((struct tables *)tables)->node);
}

struct tables *tables_new(const struct options *options, struct encoder *encoder)
{
    struct tables *tables = palloc0(sizeof(*tables));
    HASHCTL settings = {
        .keysize = sizeof(Oid), .entrysize = sizeof(struct table), .hcxt = CurrentMemoryContext};

    tables->context = CurrentMemoryContext;
    tables->options = options;
    tables->encoder = encoder;
    tables->by_id =
        hash_create("pgforce tables", 64, &settings, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    tables->drop_stale_at = MANY_TABLES;
    register_callbacks();
    slist_push_head(&alive, &tables->node);
    tables->forget.func = forget;
    tables->forget.arg = tables;
    MemoryContextRegisterResetCallback(tables->context, &tables->forget);
    return tables;
}

static bool may_read_column(Oid table, AttrNumber column)
{
    return pg_attribute_aclcheck(table, column, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Whether some column may be read is found out column by column. */
static bool may_read_table(Relation relation, bool *has_all_columns)
{
    Oid id = RelationGetRelid(relation);

    *has_all_columns = pg_class_aclcheck(id, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
    return compat_may_use_schema(RelationGetNamespace(relation), GetUserId()) &&
           check_enable_rls(id, InvalidOid, true) != RLS_ENABLED;
}

static bool is_stored(Form_pg_attribute attribute)
{
    return !attribute->attisdropped && !compat_is_virtual(attribute);
}

/* REPLICA IDENTITY FULL makes every column part of the key. */
static bool is_key(Relation relation, const Bitmapset *key, AttrNumber column)
{
    return relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL ||
           bms_is_member(column - FirstLowInvalidHeapAttributeNumber, key);
}

static void add_columns(struct tables *tables, struct table *table, Relation relation,
                        bool has_all_columns)
{
    TupleDesc descriptor = RelationGetDescr(relation);
    Bitmapset *key = RelationGetIdentityKeyBitmap(relation);

    table->columns = palloc0(sizeof(struct column_writer) * (descriptor->natts + 1));
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

        if (!is_stored(attribute) ||
            (!has_all_columns && !may_read_column(table->id, attribute->attnum)))
            continue;
        struct column_writer *writer = &table->columns[table->column_count++];
        encoder_prepare_column(tables->encoder, writer, attribute);
        writer->is_key = is_key(relation, key, attribute->attnum);
    }
    bms_free(key);
}

static Pgforce__V1__Column *describe_column(struct tables *tables, Relation relation,
                                            const struct column_writer *writer)
{
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), writer->index);
    Pgforce__V1__Column *column = palloc(sizeof(*column));

    pgforce__v1__column__init(column);
    column->name = encoder_text(tables->encoder, NameStr(attribute->attname));
    column->type = encoder_text(tables->encoder, format_type_be(attribute->atttypid));
    column->type_oid = attribute->atttypid;
    column->type_modifier = attribute->atttypmod;
    column->key = writer->is_key;
    return column;
}

static void pack_relation(struct tables *tables, struct table *table, Relation relation,
                          const char *schema)
{
    Pgforce__V1__Relation message = PGFORCE__V1__RELATION__INIT;

    message.id = table->id;
    message.schema = encoder_text(tables->encoder, schema);
    message.table = encoder_text(tables->encoder, RelationGetRelationName(relation));
    message.replica_identity = (uint8_t)relation->rd_rel->relreplident;
    message.withheld = table->is_withheld;
    message.n_columns = table->column_count;
    message.columns = palloc(sizeof(Pgforce__V1__Column *) * (table->column_count + 1));
    for (int i = 0; i < table->column_count; i++)
        message.columns[i] = describe_column(tables, relation, &table->columns[i]);
    table->relation_bytes = pgforce__v1__relation__get_packed_size(&message);
    table->relation = palloc(table->relation_bytes + 1);
    pgforce__v1__relation__pack(&message, (uint8_t *)table->relation);
}

static void describe_table(struct tables *tables, struct table *table, Relation relation)
{
    const char *schema = get_namespace_name(RelationGetNamespace(relation));
    bool has_all_columns;
    bool may_read;

    if (schema == NULL)
        schema = "";
    table->is_old_whole = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
    table->is_taken =
        options_take_table(tables->options, schema, RelationGetRelationName(relation));
    if (!table->is_taken)
        return;
    may_read = may_read_table(relation, &has_all_columns);
    if (may_read)
        add_columns(tables, table, relation, has_all_columns);
    table->is_withheld = !may_read || (table->column_count == 0 && !has_all_columns);
    pack_relation(tables, table, relation, schema);
}

static bool is_announced(const struct table *table)
{
    return table->announced != NULL && table->announced_bytes == table->relation_bytes &&
           memcmp(table->announced, table->relation, table->relation_bytes) == 0;
}

static Oid topmost_ancestor(Relation relation)
{
    List *ancestors = NIL;

    if (relation->rd_rel->relispartition)
        ancestors = get_partition_ancestors(RelationGetRelid(relation));
    return ancestors != NIL ? llast_oid(ancestors) : InvalidOid;
}

/* What the client was told stays known, so that it is told again only of what differs. */
static void rebuild(struct tables *tables, struct table *table, Relation relation)
{
    uint32 generation = tables->generation;

    /* First, as what follows may be told that it is out of date while it reads the catalog. If it
     * fails (a transaction in progress was rolled back), it begins again at the next row. */
    table->is_stale = false;
    table->is_built = false;
    table->build = ++tables->builds;

    if (table->context == NULL)
        table->context =
            AllocSetContextCreate(tables->context, "pgforce table", ALLOCSET_SMALL_SIZES);
    else
        MemoryContextReset(table->context);
    table->columns = NULL;
    table->column_count = 0;
    table->relation = NULL;
    table->relation_bytes = 0;
    table->is_withheld = false;
    table->root = InvalidOid;
    table->root_build = 0;
    table->root_columns = NULL;

    MemoryContext before = MemoryContextSwitchTo(table->context);
    describe_table(tables, table, relation);
    if (tables->options->through_root)
        table->root = topmost_ancestor(relation);
    MemoryContextSwitchTo(before);
    table->is_told = is_announced(table);
    table->generation = generation;
    table->is_built = true;
}

/* A stale table that still exists is announced again when it is next met, which does no harm. */
static void drop_stale(struct tables *tables)
{
    HASH_SEQ_STATUS scan;
    struct table *table;

    tables->last = NULL;
    hash_seq_init(&scan, tables->by_id);
    while ((table = hash_seq_search(&scan)) != NULL) {
        if (!table->is_stale)
            continue;
        if (table->context != NULL)
            MemoryContextDelete(table->context);
        if (table->announced != NULL)
            pfree(table->announced);
        hash_search(tables->by_id, &table->id, HASH_REMOVE, NULL);
    }
}

static struct table *find_or_add(struct tables *tables, Oid id)
{
    bool is_found;

    if (tables->last != NULL && tables->last->id == id)
        return tables->last;

    struct table *table = hash_search(tables->by_id, &id, HASH_ENTER, &is_found);
    if (!is_found)
        *table = (struct table){.id = id, .is_stale = true};
    tables->last = table;
    return table;
}

static bool is_current(const struct tables *tables, const struct table *table)
{
    return !table->is_stale && table->is_built && table->generation == tables->generation;
}

static struct table *get(struct tables *tables, Relation relation)
{
    struct table *table = find_or_add(tables, RelationGetRelid(relation));

    if (!is_current(tables, table))
        rebuild(tables, table, relation);
    return table;
}

struct table *tables_get(struct tables *tables, Relation relation)
{
    if (hash_get_num_entries(tables->by_id) >= tables->drop_stale_at) {
        drop_stale(tables);
        tables->drop_stale_at = hash_get_num_entries(tables->by_id) + MANY_TABLES;
    }
    return get(tables, relation);
}

/* The stored column of that name, most often at the same place; -1 if there is none. */
static int find_column(TupleDesc descriptor, const char *name, int likely)
{
    for (int i = -1; i < descriptor->natts; i++) {
        int place = i < 0 ? likely : i;

        if (place < descriptor->natts && is_stored(TupleDescAttr(descriptor, place)) &&
            strcmp(NameStr(TupleDescAttr(descriptor, place)->attname), name) == 0)
            return place;
    }
    return -1;
}

/*
 * How the ancestor's columns are written from a partition's rows, whose order may differ. What an
 * update or a delete logs of the old row is the partition's own matter. NULL if they do not match.
 */
static struct column_writer *map_columns(struct tables *tables, const struct table *root,
                                         Relation root_relation, Relation relation)
{
    TupleDesc descriptor = RelationGetDescr(relation);
    Bitmapset *key = RelationGetIdentityKeyBitmap(relation);
    struct column_writer *columns = palloc0(sizeof(*columns) * (root->column_count + 1));

    for (int i = 0; i < root->column_count; i++) {
        Form_pg_attribute wanted =
            TupleDescAttr(RelationGetDescr(root_relation), root->columns[i].index);
        int place = find_column(descriptor, NameStr(wanted->attname), root->columns[i].index);

        if (place < 0)
            return NULL;
        encoder_prepare_column(tables->encoder, &columns[i], TupleDescAttr(descriptor, place));
        columns[i].is_key = is_key(relation, key, (AttrNumber)(place + 1));
    }
    return columns;
}

/* Up to date after it, or without root where the ancestor is gone or does not match. */
static void map_to_root(struct tables *tables, struct table *table, Relation relation)
{
    Relation root_relation = RelationIdGetRelation(table->root);

    if (!RelationIsValid(root_relation)) {
        table->root = InvalidOid;
        return;
    }

    struct table *root = get(tables, root_relation);
    MemoryContext before = MemoryContextSwitchTo(table->context);
    table->root_columns = map_columns(tables, root, root_relation, relation);
    MemoryContextSwitchTo(before);
    RelationClose(root_relation);
    table->root_build = root->build;
    if (table->root_columns == NULL)
        table->root = InvalidOid;
}

static bool is_mapped(struct tables *tables, const struct table *table)
{
    const struct table *root = find_or_add(tables, table->root);

    return is_current(tables, root) && root->build == table->root_build;
}

struct route tables_route(struct tables *tables, Relation relation)
{
    struct table *table = tables_get(tables, relation);

    if (OidIsValid(table->root) && !is_mapped(tables, table)) {
        if (table->root_columns != NULL)
            rebuild(tables, table, relation);
        if (OidIsValid(table->root))
            map_to_root(tables, table, relation);
    }
    if (!OidIsValid(table->root))
        return (struct route){table, table->columns, table->is_old_whole};
    return (struct route){find_or_add(tables, table->root), table->root_columns,
                          table->is_old_whole};
}

void table_announced(struct tables *tables, struct table *table)
{
    if (table->announced != NULL)
        pfree(table->announced);
    table->announced = MemoryContextAlloc(tables->context, table->relation_bytes + 1);
    memcpy(table->announced, table->relation, table->relation_bytes);
    table->announced_bytes = table->relation_bytes;
    table->is_told = true;
}
