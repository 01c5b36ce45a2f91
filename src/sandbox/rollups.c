#include "sandbox/rollups.h"

#include <string.h>
#include <strings.h>

#include "sandbox/events.h"
#include "sandbox/formula_sql.h"
#include "sandbox/formulas.h"
#include "sandbox/rollup_filter.h"

enum { MAX_SQL_BYTES = 512 * 1024 };

static const struct operation {
    const char *name;
    const char *sql; /* $ is the details' field, # how many digits the roll-up has */
    bool has_field;
} operations[] = {
    {"count", "count(*)", false},
    {"sum", "round(ifnull(sum($), 0), #)", true},
    {"min", "min($)", true},
    {"max", "max($)", true},
};

static const struct operation *find_operation(const char *name)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcasecmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

/* ---- binding ---- */

/* A roll-up on its way. */
struct binding {
    struct org *org;
    const struct object *master;
    const struct field *field;
    struct rollup *rollup;
};

/* "Line__c.Amount__c": the object's name is left when it is the detail's. */
static const char *strip_object(const struct binding *binding, const char *name)
{
    const char *dot = name != NULL ? strchr(name, '.') : NULL;
    const char *detail = binding->rollup->detail->name;

    if (dot == NULL)
        return name;
    return strncasecmp(name, detail, strlen(detail)) == 0 && name[strlen(detail)] == '.' ? dot + 1
                                                                                         : NULL;
}

static bool find_detail(const struct binding *binding, struct error *err)
{
    struct rollup *rollup = binding->rollup;
    const char *dot = rollup->key_name != NULL ? strchr(rollup->key_name, '.') : NULL;

    if (dot == NULL)
        return error_set(
            err, ERROR_CONFIG,
            "\"summaryForeignKey\" names the details' reference: \"Line__c.Order__c\"");
    const char *name = arena_strndup(schema_arena(binding->org->schema), rollup->key_name,
                                     (size_t)(dot - rollup->key_name));
    rollup->detail = schema_find(binding->org->schema, name);
    rollup->key = rollup->detail != NULL ? schema_field(rollup->detail, dot + 1) : NULL;
    if (rollup->key == NULL || !schema_field_refers_to(rollup->key, binding->master) ||
        !rollup->key->cascades_delete || rollup->detail == binding->master)
        return error_set(err, ERROR_CONFIG,
                         "\"summaryForeignKey\": %s is no master-detail to %s; it is a reference "
                         "of another object with \"cascadeDelete\": true",
                         rollup->key_name, binding->master->name);
    return true;
}

static bool is_fitting(const struct operation *operation, const struct field *field,
                       const struct field *source)
{
    enum formula_type type = formula_check_type(source);

    if (type == FORMULA_NUMBER)
        return formula_check_type(field) == FORMULA_NUMBER;
    return strcmp(operation->name, "sum") != 0 &&
           (type == FORMULA_DATE || type == FORMULA_DATETIME) && formula_check_type(field) == type;
}

static bool find_source(const struct binding *binding, const struct operation *operation,
                        struct error *err)
{
    struct rollup *rollup = binding->rollup;
    const char *name = strip_object(binding, rollup->source_name);

    if (!operation->has_field)
        return formula_check_type(binding->field) == FORMULA_NUMBER ||
               error_set(err, ERROR_CONFIG, "a count is a number: \"type\": \"int\"");
    rollup->source = name != NULL ? schema_field(rollup->detail, name) : NULL;
    if (rollup->source == NULL || !is_fitting(operation, binding->field, rollup->source))
        return error_set(err, ERROR_CONFIG,
                         "\"summarizedField\" names a number of %s, or for min and max a date or "
                         "datetime, of the roll-up's own type",
                         rollup->detail->name);
    return true;
}

static bool is_short(const struct rollup *rollup)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, FORMULA_SQL_MAX_BYTES);
    return (rollup->source == NULL || formula_sql_write_field(rollup->source, "d", &sql)) &&
           (rollup->filter == NULL || formula_sql_write(rollup->filter, "d", &sql));
}

static bool take_items(const struct binding *binding, struct error *err)
{
    struct rollup *rollup = binding->rollup;

    if (rollup->items_text == NULL)
        return true;
    if (rollup->filter_text != NULL)
        return error_set(err, ERROR_CONFIG,
                         "a roll-up has \"summaryFilter\" or \"summaryFilterItems\", not both");
    json_t *items = json_loads(rollup->items_text, 0, NULL);
    rollup->filter_text =
        rollup_filter_formula(schema_arena(binding->org->schema), rollup->detail, items, err);
    json_decref(items);
    return rollup->filter_text != NULL || error_prefix(err, "\"summaryFilterItems\"");
}

static bool bind(const struct binding *binding, struct error *err)
{
    struct rollup *rollup = binding->rollup;
    const struct operation *operation = find_operation(rollup->operation);

    if (binding->field->formula != NULL)
        return error_set(err, ERROR_CONFIG,
                         "a roll-up has no \"calculatedFormula\"; make it two fields");
    if (operation == NULL)
        return error_set(err, ERROR_CONFIG,
                         "\"summaryOperation\" is count, sum, min or max, not \"%s\"",
                         rollup->operation);
    if (!find_detail(binding, err) || !find_source(binding, operation, err) ||
        !take_items(binding, err))
        return false;
    const struct formula_source filter = {
        .schema = binding->org->schema, .object = rollup->detail, .text = rollup->filter_text};
    if (rollup->filter_text != NULL) {
        rollup->filter = formulas_add(binding->org, &filter, err);
        if (rollup->filter == NULL)
            return error_prefix(err, "\"summaryFilter\"");
    }
    rollup->is_bound = is_short(rollup);
    return rollup->is_bound ||
           error_set(err, ERROR_CONFIG,
                     "the formulas it is made of are too long together or nested too deeply; name "
                     "fewer formula fields");
}

static bool visit_all(struct org *org,
                      bool (*visit)(const struct binding *binding, struct error *err),
                      struct error *err)
{
    for (size_t i = 0; i < schema_count(org->schema); i++) {
        struct binding binding = {.org = org, .master = schema_at(org->schema, i)};

        for (size_t j = 0; j < binding.master->field_count; j++) {
            binding.field = binding.master->fields[j];
            binding.rollup = binding.field->rollup;
            if (binding.rollup != NULL && !visit(&binding, err))
                return error_prefix(err, "%s.%s", binding.master->name, binding.field->name);
        }
    }
    return true;
}

static bool bind_one(const struct binding *binding, struct error *err)
{
    return binding->rollup->is_bound || bind(binding, err);
}

bool rollups_bind(struct org *org, struct error *err)
{
    return visit_all(org, bind_one, err);
}

/* ---- SQL ---- */

/* The value for the master whose id the SQL expression is. */
static void write_value(const struct binding *binding, const char *id, struct buf *sql)
{
    const struct rollup *rollup = binding->rollup;
    const char *each = find_operation(rollup->operation)->sql;

    buf_text(sql, "(select ");
    for (; *each != '\0'; each++)
        if (*each == '$')
            formula_sql_write_field(rollup->source, "d", sql);
        else if (*each == '#')
            buf_printf(sql, "%d", binding->field->scale);
        else
            buf_char(sql, *each);
    buf_printf(sql, " from \"%s\" d where d.\"%s\" = %s and d.\"IsDeleted\" = 0",
               rollup->detail->name, rollup->key->name, id);
    if (rollup->filter != NULL) {
        buf_text(sql, " and ");
        formula_sql_write(rollup->filter, "d", sql);
    }
    buf_char(sql, ')');
}

/* Sets the column of one master, where it is another and the master is not in the bin. */
static void write_update(const struct binding *binding, const char *id, const char *stamp,
                         struct buf *sql)
{
    buf_printf(sql, "update \"%s\" set \"%s\" = s.v%s from (select ", binding->master->name,
               binding->field->name, stamp);
    write_value(binding, id, sql);
    buf_printf(sql, " as v) s where \"Id\" = %s and \"IsDeleted\" = 0 and \"%s\" is not s.v; ", id,
               binding->field->name);
}

static void begin_trigger(const struct binding *binding, const char *event,
                          const struct object *object, struct buf *sql)
{
    buf_printf(sql, "create temp trigger \"%s.%s: %s %s\" after %s on main.\"%s\" ",
               binding->master->name, binding->field->name, event, object->name, event,
               object->name);
}

static const char stamped[] = ", \"SystemModstamp\" = ifnull(sandbox_stamp(), \"SystemModstamp\")";

static void write_detail_triggers(const struct binding *binding, struct buf *sql)
{
    const struct object *detail = binding->rollup->detail;
    struct arena *arena = schema_arena(binding->org->schema);
    const char *new_id = arena_printf(arena, "new.\"%s\"", binding->rollup->key->name);
    const char *old_id = arena_printf(arena, "old.\"%s\"", binding->rollup->key->name);

    begin_trigger(binding, "insert", detail, sql);
    buf_printf(sql, "when %s is not null begin ", new_id);
    write_update(binding, new_id, stamped, sql);
    buf_text(sql, "end; ");
    begin_trigger(binding, "update", detail, sql);
    buf_text(sql, "begin ");
    write_update(binding, new_id, stamped, sql);
    write_update(binding, old_id, stamped, sql);
    buf_text(sql, "end; ");
    begin_trigger(binding, "delete", detail, sql);
    buf_printf(sql, "when %s is not null begin ", old_id);
    write_update(binding, old_id, stamped, sql);
    buf_text(sql, "end; ");
}

/* A master that is new, or comes back from the bin. */
static void write_master_triggers(const struct binding *binding, struct buf *sql)
{
    begin_trigger(binding, "insert", binding->master, sql);
    buf_text(sql, "begin ");
    write_update(binding, "new.\"Id\"", "", sql);
    buf_text(sql, "end; ");
    begin_trigger(binding, "update of IsDeleted", binding->master, sql);
    buf_text(sql, "when old.\"IsDeleted\" = 1 begin ");
    write_update(binding, "new.\"Id\"", "", sql);
    buf_text(sql, "end; ");
}

/* The master's change is collected beside those that are saved (events.c). */
static void write_event_trigger(const struct binding *binding, struct buf *sql)
{
    const char *field = binding->field->name;

    begin_trigger(binding, "update", binding->master, sql);
    buf_printf(sql,
               "when new.\"%s\" is not old.\"%s\" and sandbox_tells() begin "
               "insert into sandbox_change (object, id, change, fields) "
               "values ('%s', new.\"Id\", %d, 'LastModifiedDate,%s'); end; ",
               field, field, binding->master->name, EVENTS_UPDATE, field);
}

static bool start_one(const struct binding *binding, struct error *err)
{
    struct rollup *rollup = binding->rollup;
    const char *master = binding->master->name;
    const char *column = binding->field->name;
    struct buf sql BUF_AUTO = {0};

    if (rollup->is_started)
        return true;
    buf_init(&sql, MAX_SQL_BYTES);
    buf_printf(&sql, "update \"%s\" set \"%s\" = ", master, column);
    write_value(binding, arena_printf(schema_arena(binding->org->schema), "\"%s\".\"Id\"", master),
                &sql);
    buf_text(&sql, "; ");
    write_master_triggers(binding, &sql);
    write_event_trigger(binding, &sql);
    write_detail_triggers(binding, &sql);
    if (buf_is_full(&sql))
        return error_set(err, ERROR_BUG, "its SQL is too long");
    rollup->is_started = store_run(binding->org->store, sql.data, err);
    return rollup->is_started;
}

bool rollups_start(struct org *org, struct error *err)
{
    return visit_all(org, start_one, err);
}
