#include "inbound/abort_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/wait.h"

enum { WORKERS_MAX = 4 };

struct abort_watch {
    struct pg *pg;
    struct pg *workers[WORKERS_MAX];
    int64_t mapping_id; /* 0 when nothing is being read */
};

static bool listen_to(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_printf(&sql, "listen \"%s.pgforce_mapping\"", schema_name);
    return pg_script(pg, sql.data, err);
}

/* A lost connection is as good as no abort: the worker's own will be noticed. */
static bool has_heard(struct abort_watch *watch)
{
    bool has = false;
    PGnotify *notify;

    PQconsumeInput(pg_conn(watch->pg));
    while ((notify = PQnotifies(pg_conn(watch->pg))) != NULL) {
        has = has || strcmp(notify->extra, "abort") == 0 || strcmp(notify->extra, "delete") == 0;
        PQfreemem(notify);
    }
    return has;
}

/* Somebody aborted something: ours? */
static bool is_ours(const struct abort_watch *watch)
{
    struct error ignored;
    PGresult *result PG_RESULT_AUTO =
        pg_query(watch->pg, "select from pgforce.mapping where id = $1 and state <> 'ABORTED'",
                 PG_PARAMS(pg_number(watch->mapping_id).text), &ignored);

    return result != NULL && PQntuples(result) == 0;
}

static bool is_aborted(void *context)
{
    struct abort_watch *watch = context;

    return has_heard(watch) && is_ours(watch);
}

static void cancel(struct pg *pg)
{
    char ignored[256];
    PGcancel *handle = PQgetCancel(pg_conn(pg));

    PQcancel(handle, ignored, sizeof(ignored));
    PQfreeCancel(handle);
}

/* While a worker waits for the server. One that is idle ignores it. */
static void cancel_if_aborted(void *context)
{
    struct abort_watch *watch = context;

    if (watch->mapping_id == 0 || !wait_is_given_up())
        return;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (watch->workers[i] != NULL)
            cancel(watch->workers[i]);
}

void abort_watch_add(struct abort_watch *watch, struct pg *worker)
{
    size_t at = 0;

    while (at < WORKERS_MAX - 1 && watch->workers[at] != NULL)
        at++;
    watch->workers[at] = worker;
    pg_set_patience(worker, &(struct pg_patience){cancel_if_aborted, watch});
}

void abort_watch_remove(struct abort_watch *watch, const struct pg *worker)
{
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (watch->workers[i] == worker)
            watch->workers[i] = NULL;
}

struct abort_watch *abort_watch_open(const char *url, const char *schema_name, struct error *err)
{
    struct pg *pg = pg_open(url, "pgforce pull watch", err);
    struct abort_watch *watch;

    if (pg == NULL || !listen_to(pg, schema_name, err)) {
        pg_close(pg);
        return NULL;
    }
    watch = memory_alloc(sizeof(*watch));
    *watch = (struct abort_watch){.pg = pg};
    return watch;
}

void abort_watch_close(struct abort_watch *watch)
{
    if (watch == NULL)
        return;
    pg_close(watch->pg);
    free(watch);
}

bool abort_watch_check(struct abort_watch *watch, struct error *err)
{
    return PQstatus(pg_conn(watch->pg)) == CONNECTION_OK || pg_set_error(watch->pg, NULL, err);
}

bool abort_watch_begin(struct abort_watch *watch, int64_t mapping_id)
{
    watch->mapping_id = mapping_id;
    if (is_ours(watch))
        return false;
    wait_begin_work(is_aborted, watch);
    return true;
}

bool abort_watch_end(struct abort_watch *watch)
{
    watch->mapping_id = 0;
    return wait_end_work();
}
