#include "inbound/writers.h"

#include "inbound/announce.h"
#include "pg/origin.h"

enum { SQL_MAX_BYTES = 1024 };

/* Users' triggers fire on what we write and may count on the path Heroku Connect has. */
static bool set_path(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "set search_path = ");
    pg_append_identifier(&sql, schema_name);
    buf_text(&sql, ", public");
    return pg_script(pg, sql.data, err);
}

/* A connection that writes as this role's origin; NULL on failure. */
static struct pg *open_writer(const struct writers *writers, const char *role,
                              const char *application_name, struct error *err)
{
    struct pg *pg = pg_open(writers->url, application_name, err);

    if (pg != NULL && origin_take(pg, role, writers->schema_name, err) &&
        set_path(pg, writers->schema_name, err)) {
        abort_watch_add(writers->watch, pg);
        return pg;
    }
    pg_close(pg);
    return NULL;
}

bool writers_open(struct writers *writers, struct error *err)
{
    writers->watch = abort_watch_open(writers->url, writers->schema_name, err);
    if (writers->watch == NULL)
        return false;
    writers->pull = open_writer(writers, "pull", "pgforce pull", err);
    if (writers->pull == NULL)
        return false;
    writers->barrier = pg_open(writers->url, "pgforce pull barrier", err);
    return writers->barrier != NULL;
}

void writers_close(struct writers *writers)
{
    abort_watch_close(writers->watch);
    pg_close(writers->barrier);
    pg_close(writers->echo);
    pg_close(writers->pull);
}

struct pg *writers_open_load(const struct writers *writers, struct error *err)
{
    return open_writer(writers, "load", "pgforce load", err);
}

void writers_close_load(const struct writers *writers, struct pg *pg)
{
    if (pg != NULL)
        abort_watch_remove(writers->watch, pg);
    pg_close(pg);
}

bool writers_choose(struct writers *writers, const struct mapping *mapping,
                    struct apply_world *world, struct error *err)
{
    if (!announce_is_needed(writers->pull, mapping, &world->is_announced, err))
        return false;
    if (!world->is_announced)
        return true;
    if (writers->echo == NULL)
        writers->echo = open_writer(writers, "echo", "pgforce pull", err);
    world->pg = writers->echo;
    return writers->echo != NULL;
}

bool writers_forget_stages(const struct writers *writers, struct error *err)
{
    return pg_script(writers->pull, "discard temp", err) &&
           (writers->echo == NULL || pg_script(writers->echo, "discard temp", err));
}

static bool is_connected(struct pg *pg)
{
    return pg == NULL || PQstatus(pg_conn(pg)) == CONNECTION_OK;
}

bool writers_are_connected(const struct writers *writers)
{
    return is_connected(writers->pull) && is_connected(writers->echo) &&
           is_connected(writers->barrier);
}
