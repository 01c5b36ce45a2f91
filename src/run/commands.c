#include "run/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/progress.h"
#include "base/arena.h"
#include "mapping/import.h"
#include "mapping/lifecycle.h"
#include "mapping/resolve.h"
#include "run/salesforce.h"
#include "run/setup.h"
#include "sf/describe.h"
#include "stream/slot.h"

enum { IMPORT_MAX_BYTES = 16 * 1024 * 1024, READ_BYTES = 64 * 1024 };

static FILE *open_input(const char *path, struct error *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (file == NULL)
        error_set(err, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    return file;
}

static void close_input(FILE *file)
{
    if (file != stdin)
        fclose(file);
}

static bool read_file(const char *path, struct buf *text, struct error *err)
{
    FILE *file = open_input(path, err);
    char block[READ_BYTES];
    size_t size;

    if (file == NULL)
        return false;
    while ((size = fread(block, 1, sizeof(block), file)) > 0)
        buf_append(text, block, size);
    bool is_ok = !ferror(file);
    close_input(file);
    if (!is_ok)
        return error_set(err, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (buf_is_full(text))
        return error_set(err, ERROR_CONFIG, "%s is larger than %d bytes: no mapping file", path,
                         IMPORT_MAX_BYTES);
    return true;
}

/* Describes asked once each, for resolve_import. */
struct describes {
    struct sf_session *session;
    struct arena *arena;
    struct described {
        struct described *next;
        const char *name;
        const struct sf_object *object; /* NULL: the organisation has none */
    } * first;
};

/* "No such object" is an answer here, not a failure: all of them are told together. */
static bool describe_once(struct describes *describes, struct described *described,
                          struct error *err)
{
    struct sf_object *object = arena_alloc(describes->arena, sizeof(*object));

    if (sf_describe(describes->session, described->name, describes->arena, object, err))
        described->object = object;
    else if (err->kind != ERROR_RECORD)
        return false;
    return true;
}

static bool describe(void *context, const char *object_name, const struct sf_object **object,
                     struct error *err)
{
    struct describes *describes = context;
    struct described *described = describes->first;

    while (described != NULL && strcasecmp(described->name, object_name) != 0)
        described = described->next;
    if (described == NULL) {
        described = arena_alloc(describes->arena, sizeof(*described));
        described->name = arena_strdup(describes->arena, object_name);
        if (!describe_once(describes, described, err))
            return false;
        described->next = describes->first;
        describes->first = described;
    }
    *object = described->object;
    return true;
}

static void print_lines(const char *kind, const struct import_problems *problems)
{
    for (size_t i = 0; i < problems->kept; i++)
        fprintf(stderr, "pgforce: %s: %s\n", kind, problems->lines[i]);
}

/* What an import works with; opened and closed by commands_import. */
struct importing {
    const struct config *config;
    struct pg *pg;
    struct sf_session *session;
    struct arena *arena;
};

/* What a file says is data: nothing that an operator could set would mend it. */
static bool blame_file(struct error *err)
{
    if (err->kind == ERROR_CONFIG)
        err->kind = ERROR_RECORD;
    return false;
}

/* The flags that change how writes are sent; those that the file does not name stay. */
static bool store_features(const struct importing *importing, const struct import *import,
                           struct error *err)
{
    return pg_run(importing->pg,
                  "update pgforce.connection"
                  " set features = features || $2::jsonb"
                  " where schema_name = $1",
                  PG_PARAMS(importing->config->schema_name, import->features), err);
}

static bool import_into(const struct importing *importing, const struct import *import,
                        struct error *err)
{
    const char *schema_name = importing->config->schema_name;
    struct describes describes = {.session = importing->session, .arena = importing->arena};
    struct resolve_org org = {.describe = describe, .context = &describes};
    struct resolve_result resolved = {0};
    struct lifecycle_counts counts = {0};

    if (!resolve_import(import, &org, importing->arena, &resolved, err))
        return resolved.problems.count > 0 ? blame_file(err) : false;
    if (!salesforce_bind(importing->config, importing->session, importing->pg, err) ||
        !store_features(importing, import, err) ||
        !lifecycle_import(importing->pg, schema_name, &resolved.list, &counts, err))
        return false;
    print_lines("warning", &resolved.warnings);
    printf("imported %zu mappings into schema %s: %d created, %d changed, %d unchanged\n",
           resolved.list.count, schema_name, counts.created, counts.changed, counts.unchanged);
    return true;
}

bool commands_import(const struct config *config, const char *path, struct error *err)
{
    struct importing importing = {.config = config, .arena = arena_new()};
    struct buf text BUF_AUTO = {0};
    struct import import;

    buf_init(&text, IMPORT_MAX_BYTES);
    bool is_ok = read_file(path, &text, err) &&
                 (import_parse(text.data, text.size_bytes, importing.arena, &import, err) ||
                  blame_file(err)) &&
                 (importing.pg = pg_open(config->database_url, "pgforce import", err)) != NULL &&
                 (importing.session = salesforce_open(config, importing.pg, err)) != NULL &&
                 import_into(&importing, &import, err);
    sf_session_close(importing.session);
    pg_close(importing.pg);
    arena_free(importing.arena);
    return is_ok;
}

static bool print_progress(struct pg *pg, const struct config *config, struct error *err)
{
    struct progress progress;
    struct slot slot;

    if (!progress_load(pg, config->schema_name, &progress, err) ||
        !slot_read(pg, progress.slot_name, &slot, err))
        return false;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select pg_size_pretty(pg_current_wal_lsn() - $1::pg_lsn)",
                 PG_PARAMS(lsn_format(slot.restart_lsn).text), err);
    if (result == NULL)
        return false;
    printf("slot       %s: %s, retains %s of WAL\n", progress.slot_name,
           !slot.exists           ? "MISSING"
           : slot.active_pid != 0 ? "read by the archive role"
                                  : "nobody reads it (is `pgforce archive` running?)",
           slot.exists ? PQgetvalue(result, 0, 0) : "nothing");
    printf("archived   up to %s\n", lsn_format(progress.commit_end_lsn).text);
    return true;
}

static bool print_queue(struct pg *pg, const struct config *config, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select state, count(*), to_char(min(created_at) at time zone 'UTC',"
                   " 'YYYY-MM-DD HH24:MI:SS') from ");
    pg_append_identifier(&sql, config->schema_name);
    buf_text(&sql, "._trigger_log group by state order by state");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    printf("\n%-10s %10s  %s\n", "log state", "entries", "oldest (UTC)");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-10s %10s  %s\n", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
               PQgetvalue(result, i, 2));
    return true;
}

static bool print_mappings(struct pg *pg, const struct config *config, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select m.object_name, m.table_name, m.access, m.state,"
                 " coalesce(to_char(w.polled_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ''),"
                 " coalesce(m.state_description, '')"
                 " from pgforce.mapping m"
                 " left join pgforce.watermark w on w.mapping_id = m.id"
                 " where m.schema_name = $1"
                 " order by m.object_name",
                 PG_PARAMS(config->schema_name), err);

    if (result == NULL)
        return false;
    printf("\n%-24s %-24s %-10s %-14s %-19s\n", "object", "table", "access", "state",
           "polled (UTC)");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-24s %-24s %-10s %-14s %-19s %s\n", PQgetvalue(result, i, 0),
               PQgetvalue(result, i, 1), PQgetvalue(result, i, 2), PQgetvalue(result, i, 3),
               PQgetvalue(result, i, 4), PQgetvalue(result, i, 5));
    return true;
}

bool commands_status(const struct config *config, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce status", err);
    bool is_ok = pg != NULL && print_progress(pg, config, err) && print_queue(pg, config, err) &&
                 print_mappings(pg, config, err);

    pg_close(pg);
    return is_ok;
}
