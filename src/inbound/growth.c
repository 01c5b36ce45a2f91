#include "inbound/growth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "mapping/schema.h"

/* Salesforce's own longest text that is not a long one. */
enum { TEXT_MAX = 255, SQL_MAX_BYTES = 1024 };

struct stuck {
    struct stuck *next;
    int64_t mapping_id;
    char *column_name;
};

struct growth {
    struct stuck *first;
};

struct growth *growth_new(void)
{
    return memory_alloc(sizeof(struct growth));
}

void growth_reset(struct growth *growth)
{
    while (growth->first != NULL) {
        struct stuck *stuck = growth->first;

        growth->first = stuck->next;
        free(stuck->column_name);
        free(stuck);
    }
}

void growth_free(struct growth *growth)
{
    if (growth == NULL)
        return;
    growth_reset(growth);
    free(growth);
}

bool growth_is_stuck(const struct growth *growth, const struct mapping *mapping,
                     const struct mapping_field *field)
{
    for (const struct stuck *each = growth->first; each != NULL; each = each->next)
        if (each->mapping_id == mapping->id && strcmp(each->column_name, field->column_name) == 0)
            return true;
    return false;
}

static void remember(struct growth *growth, const struct growth_need *need, const struct error *err)
{
    struct stuck *stuck = memory_alloc(sizeof(*stuck));

    *stuck = (struct stuck){.next = growth->first,
                            .mapping_id = need->mapping->id,
                            .column_name = memory_strdup(need->field->column_name)};
    growth->first = stuck;
    log_error("could not widen a column", log_text("mapping", need->mapping->object_name),
              log_text("column", need->field->column_name), log_text("reason", err->message));
}

static bool widen(struct pg *pg, const struct growth_need *need, const char *type,
                  struct error *err)
{
    struct mapping_field wider = *need->field;
    struct buf channel BUF_AUTO = {0};

    wider.column_type = type;
    buf_init(&channel, SQL_MAX_BYTES);
    buf_printf(&channel, "%s.pgforce_mapping", need->mapping->schema_name);
    /* Whoever comes later waits behind us for as long as we wait for a reader. */
    return pg_script(pg, "begin; set local lock_timeout = '200ms'", err) &&
           schema_widen_column(pg, need->mapping, &wider, err) &&
           pg_run(pg,
                  "update pgforce.mapping_field"
                  " set column_type = $3"
                  " where mapping_id = $1 and column_name = $2",
                  PG_PARAMS(pg_number(need->mapping->id).text, wider.column_name, type), err) &&
           pg_run(pg, "select pg_notify($1, '')", PG_PARAMS(channel.data), err) &&
           pg_script(pg, "commit", err);
}

bool growth_widen(struct growth *growth, struct pg *pg, const struct growth_need *need,
                  struct error *err)
{
    char type[32];

    snprintf(type, sizeof(type), need->characters <= TEXT_MAX ? "varchar(%d)" : "text", TEXT_MAX);
    if (widen(pg, need, type, err)) {
        log_warning("widened a column", log_text("mapping", need->mapping->object_name),
                    log_text("column", need->field->column_name), log_text("type", type));
        return true;
    }
    pg_rollback(pg);
    if (err->kind != ERROR_CONFIG)
        return false;
    remember(growth, need, err);
    return true;
}
