#include "cli/load_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wait.h"

enum {
    ASK_MS = 500,
    LINE_MS = 5 * 1000,    /* between two lines where there is no terminal */
    SILENCE_MS = 30 * 1000 /* after which it is worth asking who should be working */
};

struct watch {
    struct pg *pg;
    const char *schema_name;
    const char *object_name;
    bool is_terminal;
    bool has_asked;
    int64_t told_ms;
    int64_t moved_ms;
    int64_t rows_done;
};

static PGresult *ask(const struct watch *watch, struct error *err)
{
    PGresult *result =
        pg_query(watch->pg,
                 "select m.state, m.state_description, m.operation is not null, l.rows_done,"
                 " l.rows_total, l.rows_per_second"
                 " from pgforce.mapping m"
                 " left join pgforce.load l on l.mapping_id = m.id"
                 " where m.schema_name = $1 and lower(m.object_name) = lower($2)",
                 PG_PARAMS(watch->schema_name, watch->object_name), err);

    if (result == NULL || PQntuples(result) > 0)
        return result;
    PQclear(result);
    error_set(err, ERROR_CONFIG, "%s is not mapped any more", watch->object_name);
    return NULL;
}

/* column: where rows_done stands, rows_total and rows_per_second after it. */
static void print_rows(FILE *out, const PGresult *result, int row, int column)
{
    int64_t done = pg_field_int64(result, row, column);
    int64_t total = pg_field_int64(result, row, column + 1);
    int64_t rate = pg_field_int64(result, row, column + 2);

    fprintf(out, "%" PRId64 " of %" PRId64 " rows, %" PRId64 " rows/s", done, total, rate);
    if (rate > 0 && total > done)
        fprintf(out, ", about %" PRId64 " s left", (total - done) / rate);
}

static void print_line(struct watch *watch, const PGresult *result)
{
    fprintf(stderr, "%s%s: %s", watch->is_terminal ? "\r\033[K" : "", watch->object_name,
            pg_field(result, 0, 0));
    if (pg_field(result, 0, 3) != NULL) {
        fputs(", ", stderr);
        print_rows(stderr, result, 0, 3);
    }
    if (!watch->is_terminal)
        fputc('\n', stderr);
}

static void tell(struct watch *watch, const PGresult *result)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t rows_done = pg_field_int64(result, 0, 3);

    if (rows_done != watch->rows_done)
        watch->moved_ms = now_ms;
    watch->rows_done = rows_done;
    if (watch->is_terminal || watch->told_ms == 0 || now_ms - watch->told_ms >= LINE_MS) {
        print_line(watch, result);
        watch->told_ms = now_ms;
    }
    if (!watch->has_asked && now_ms - watch->moved_ms > SILENCE_MS) {
        fputs("\npgforce: nothing moves: does `pgforce run` or `pgforce pull` run?\n", stderr);
        watch->has_asked = true;
    }
}

/* Whether there is nothing more to wait for. */
static bool is_over(const PGresult *result, const char *object_name, bool *is_ok, struct error *err)
{
    const char *state = pg_field(result, 0, 0);
    const char *why = pg_field(result, 0, 1);
    bool has_stopped = strcmp(state, "ABORTED") == 0 || strcmp(state, "SYSTEM_ERROR") == 0;

    *is_ok = !has_stopped;
    if (has_stopped)
        error_set(err, ERROR_CONFIG, "%s is %s: %s", object_name, state, why != NULL ? why : "");
    return has_stopped || (strcmp(state, "DATA_SYNCED") == 0 && !pg_field_bool(result, 0, 2));
}

bool load_progress_watch(struct pg *pg, const char *schema_name, const char *object_name,
                         struct error *err)
{
    struct watch watch = {.pg = pg,
                          .schema_name = schema_name,
                          .object_name = object_name,
                          .is_terminal = isatty(STDERR_FILENO) != 0,
                          .moved_ms = clock_monotonic_ms()};
    bool is_ok = true;

    for (;;) {
        PGresult *result PG_RESULT_AUTO = ask(&watch, err);
        if (result == NULL)
            return false;
        tell(&watch, result);
        if (is_over(result, object_name, &is_ok, err))
            break;
        if (wait_for(-1, 0, ASK_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop; the work goes on");
    }
    if (watch.is_terminal)
        fputc('\n', stderr);
    return is_ok;
}

static void print_mapping(const PGresult *result, int row)
{
    const char *object_name = pg_field(result, row, 0);
    int64_t held = pg_field_int64(result, row, 4);
    int64_t refused = pg_field_int64(result, row, 5);

    if (pg_field(result, row, 1) != NULL) {
        printf("%s is being loaded: ", object_name);
        print_rows(stdout, result, row, 1);
        putchar('\n');
    }
    if (held > 0)
        printf("%s: %" PRId64 " deletions wait: `pgforce mapping confirm %s` lets them happen\n",
               object_name, held, object_name);
    if (refused > 0)
        printf("%s: the table does not take %" PRId64 " records, which are tried again; the last:"
               " %s\n",
               object_name, refused, pg_field(result, row, 6));
}

bool load_progress_print(struct pg *pg, const char *schema_name, const char *object_name,
                         struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select m.object_name, l.rows_done, l.rows_total, l.rows_per_second,"
        " (select count(*) from pgforce.held_deletion h"
        " where h.mapping_id = m.id and h.confirmed_at is null),"
        " (select count(*) from pgforce.refused_record r where r.mapping_id = m.id),"
        " (select r.reason from pgforce.refused_record r where r.mapping_id = m.id"
        " order by r.refused_at desc limit 1)"
        " from pgforce.mapping m"
        " left join pgforce.load l on l.mapping_id = m.id"
        " where m.schema_name = $1 and ($2::text is null or lower(m.object_name) = lower($2))"
        " order by m.object_name",
        PG_PARAMS(schema_name, object_name), err);

    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        print_mapping(result, i);
    return true;
}
