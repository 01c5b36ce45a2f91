#include "archive/sent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

bool sent_add(struct pg *pg, const char *schema_name, struct sent_count *count, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "with one as ("
                 " insert into pgforce.sent as s (schema_name, count)"
                 " values ($1, 1)"
                 " on conflict (schema_name) do update set count = s.count + 1"
                 " returning count)"
                 " select c.uuid || ' ' || one.count"
                 " from one, pgforce.connection c"
                 " where c.schema_name = $1",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    snprintf(count->text, sizeof(count->text), "%s", PQgetvalue(result, 0, 0));
    return true;
}

static void append_path(struct buf *path, const char *directory, const char *schema_name)
{
    buf_init(path, PATH_MAX_BYTES);
    buf_printf(path, "%s/%s.sent", directory, schema_name);
}

static bool refuse(const char *path, struct error *err)
{
    return error_set(err, error_kind_of(errno),
                     "cannot keep what was sent in %s: %s; mend it, or unset"
                     " PGFORCE_STATE_DIRECTORY",
                     path, strerror(errno));
}

/* ---- writing ---- */

static bool write_whole(const char *path, const struct sent_count *count)
{
    struct buf line BUF_AUTO = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    buf_init(&line, 256);
    buf_printf(&line, "%s\n", count->text);
    bool is_ok =
        write(fd, line.data, line.size_bytes) == (ssize_t)line.size_bytes && fsync(fd) == 0;
    close(fd);
    return is_ok;
}

/* A rename is durable when its folder is. */
static bool sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return is_ok;
}

bool sent_keep(const char *directory, const char *schema_name, const struct sent_count *count,
               struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct buf draft BUF_AUTO = {0};

    append_path(&path, directory, schema_name);
    buf_init(&draft, PATH_MAX_BYTES);
    buf_printf(&draft, "%s.new", path.data);
    return (write_whole(draft.data, count) && rename(draft.data, path.data) == 0 &&
            sync_directory(directory)) ||
           refuse(path.data, err);
}

/* ---- comparing ---- */

/* Empty when there is no file yet. */
static bool read_kept(const char *path, struct sent_count *kept, struct error *err)
{
    FILE *file = fopen(path, "re");

    *kept = (struct sent_count){0};
    if (file == NULL)
        return errno == ENOENT || refuse(path, err);
    bool is_read = fgets(kept->text, sizeof(kept->text), file) != NULL;
    if (ferror(file)) {
        refuse(path, err);
        fclose(file);
        return false;
    }
    fclose(file);
    kept->text[strcspn(kept->text, "\n")] = '\0';
    return is_read || error_set(err, ERROR_CONFIG,
                                "%s is empty: it held how often was sent. Remove it if this"
                                " database is no older copy",
                                path);
}

bool sent_compare(struct pg *pg, const char *directory, const char *schema_name, struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sent_count kept;

    append_path(&path, directory, schema_name);
    if (!read_kept(path.data, &kept, err))
        return false;
    if (access(directory, W_OK) != 0)
        return refuse(path.data, err);
    return pg_run(pg,
                  "with kept as (select split_part($2, ' ', 1) as uuid,"
                  " nullif(split_part($2, ' ', 2), '')::bigint as count),"
                  " older as ("
                  " select c.schema_name, kept.count as kept, coalesce(s.count, 0) as counted"
                  " from kept"
                  " join pgforce.connection c on c.schema_name = $1 and c.uuid::text = kept.uuid"
                  " left join pgforce.sent s on s.schema_name = c.schema_name"
                  " where kept.count > coalesce(s.count, 0)),"
                  " noted as ("
                  " update pgforce.connection c"
                  " set restored_reason = coalesce(c.restored_reason,"
                  " format('something was sent %s times from here, and the database knows of %s',"
                  " kept, counted))"
                  " from older"
                  " where c.schema_name = older.schema_name)"
                  " insert into pgforce.sent as s (schema_name, count)"
                  " select schema_name, kept from older"
                  " on conflict (schema_name) do update set count = excluded.count",
                  PG_PARAMS(schema_name, kept.text), err);
}
