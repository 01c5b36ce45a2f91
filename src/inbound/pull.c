#include "inbound/pull.h"

#include <poll.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "inbound/drift.h"
#include "inbound/heard.h"
#include "inbound/load.h"
#include "inbound/poll.h"
#include "inbound/sweep.h"
#include "inbound/writers.h"
#include "mapping/configure.h"
#include "mapping/connection.h"
#include "mapping/mapping.h"
#include "mapping/move.h"
#include "mapping/operation.h"
#include "mapping/survey.h"
#include "pg/pg.h"

enum {
    FAILED_RETRY_MS = 5 * 1000, /* a mapping whose poll failed for now */
    FAILED_DOUBLINGS = 3,       /* and fails again: up to 40 s */
    HELD_RETRY_MS = 500,        /* rows that could not be applied yet */
    DRIFT_RETRY_MS = 60 * 1000,
    HEARD_RETRY_MS = 1000, /* what the day's calls do not allow yet */
    IDLE_WAIT_MS = 60 * 1000,
    SQL_MAX_BYTES = 4096,
    SURVEY_MS = 60 * 60 * 1000, /* between two looks at what fields the organisation has */
};

/* When a mapping is due, kept from round to round by its id. */
struct schedule {
    int64_t mapping_id;
    int64_t due_ms;
    int failures;           /* of its polls, one after the other */
    bool has_looked;        /* at the fields, since it was last read */
    int64_t survey_due_ms;  /* when to look at what fields the organisation has */
    int64_t drift_due_ms;   /* when to see to the comparison of all records */
    int64_t heard_until_ms; /* up to when readings for events have used up the day's calls */
    struct poll_memory memory;
};

struct pull {
    const struct pull_options *options;
    struct writers writers;
    struct arena *mappings_arena;
    struct arena *page_arena;
    struct growth *growth;
    struct mapping_list mappings;
    struct schedule *schedules; /* one per mapping */
    bool must_load;             /* the mappings have changed since they were read */
    bool is_paused;
    bool has_old_version; /* of the API: the next start takes the new one */
    int64_t orphans_due_ms;
    bool must_compare;                  /* an operator asks for a comparison */
    bool must_poll;                     /* an operator has confirmed deletions */
    bool has_heard;                     /* change events wait in pgforce.heard */
    const struct mapping *long_reading; /* others are polled between its pages */
};

static bool listen_for_mappings(struct pull *pull, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql, "listen \"%s.pgforce_mapping\"", pull->options->schema_name);
    return pg_script(pull->writers.pull, sql.data, err) &&
           heard_listen(pull->writers.pull, pull->options->schema_name, err);
}

static bool open_pull(struct pull *pull, struct error *err)
{
    pull->mappings_arena = arena_new();
    pull->page_arena = arena_new();
    pull->growth = growth_new();
    pull->writers =
        (struct writers){.url = pull->options->url, .schema_name = pull->options->schema_name};
    return writers_open(&pull->writers, err) && listen_for_mappings(pull, err);
}

static struct schedule find_schedule(const struct pull *pull, int64_t mapping_id)
{
    for (size_t i = 0; i < pull->mappings.count; i++)
        if (pull->schedules[i].mapping_id == mapping_id)
            return pull->schedules[i];
    return (struct schedule){.mapping_id = mapping_id};
}

/* Reads the mappings again; those known keep their time, new ones are due at once. */
static bool load_mappings(struct pull *pull, struct error *err)
{
    struct arena *arena = arena_new();
    struct mapping_list list;

    if (!writers_forget_stages(&pull->writers, err) ||
        !connection_is_paused(pull->writers.pull, pull->options->schema_name, &pull->is_paused,
                              err) ||
        !mapping_load_all(pull->writers.pull, pull->options->schema_name, arena, &list, err) ||
        !survey_leave_out(&list, arena, err)) {
        arena_free(arena);
        return false;
    }
    struct schedule *schedules = arena_array(arena, struct schedule, list.count);
    for (size_t i = 0; i < list.count; i++) {
        schedules[i] = find_schedule(pull, list.items[i].id);
        if (!list.items[i].is_surveyed)
            schedules[i].survey_due_ms = 0;
    }
    for (size_t i = 0; i < list.count && pull->must_compare; i++)
        schedules[i].drift_due_ms = 0;
    for (size_t i = 0; i < list.count && pull->must_poll; i++)
        schedules[i].due_ms = 0;
    pull->must_compare = pull->must_poll = false;
    growth_reset(pull->growth);
    pull->has_heard = true;
    arena_free(pull->mappings_arena);
    pull->mappings_arena = arena;
    pull->mappings = list;
    pull->schedules = schedules;
    return true;
}

/* Mappings without table: has the organisation by now what they lacked? Under no origin, because
 * the archive has to hear of new mappings. */
static void retry_orphans(struct pull *pull)
{
    const struct configure_target target = {pull->writers.barrier, pull->options->schema_name,
                                            pull->options->session, pull->page_arena};
    struct error err = {0};
    int found = 0;

    pull->orphans_due_ms = clock_monotonic_ms() + IDLE_WAIT_MS;
    arena_reset(pull->page_arena);
    if (!configure_retry_orphans(&target, &found, &err))
        log_warning("could not look for what mappings lack", log_text("reason", err.message));
    pull->must_load = pull->must_load || found > 0;
}

static struct poll make_poll(struct pull *pull, size_t index)
{
    return (struct poll){
        .world = {pull->writers.pull, pull->writers.barrier, pull->options->schema_name,
                  pull->page_arena, pull->growth, pull->options->confirms_all_deletions,
                  .began_sf_us = sf_session_now_us(pull->options->session)},
        .writers = pull->long_reading == NULL ? &pull->writers : NULL,
        .session = pull->options->session,
        .mapping = &pull->mappings.items[index],
        .memory = &pull->schedules[index].memory,
        .bulk_above = pull->options->bulk_above,
    };
}

/* Soon, but a reading that takes long does not follow on itself without end. */
static int64_t held_pause_ms(int64_t took_ms, int64_t pause_ms)
{
    int64_t held_ms = took_ms > HELD_RETRY_MS ? took_ms : HELD_RETRY_MS;

    return held_ms < pause_ms ? held_ms : pause_ms;
}

static bool read_and_note(struct pull *pull, size_t index, struct error *err);
static bool drain_notifications(struct pull *pull);
static bool hear_all(struct pull *pull, struct error *err);

/* New columns are filled while the mapping itself is polled too. */
static bool is_polled_meanwhile(const struct pull *pull, const struct mapping *mapping)
{
    return strcmp(mapping->state, "RESYNC") == 0 ||
           (mapping != pull->long_reading && strcmp(mapping->state, "DATA_SYNCED") == 0);
}

/* Between the pages of something long: the other mappings that have been loaded are polled. A
 * connection that is lost is found out by the reading that goes on. */
static void tend_others(void *context)
{
    struct pull *pull = context;
    struct error err = {0};

    drain_notifications(pull);
    if (!hear_all(pull, &err))
        return;
    for (size_t i = 0; i < pull->mappings.count && !wait_is_stopping(); i++) {
        const struct mapping *mapping = &pull->mappings.items[i];

        if (is_polled_meanwhile(pull, mapping) && mapping->operation == NULL &&
            pull->schedules[i].due_ms <= clock_monotonic_ms() && !read_and_note(pull, i, &err))
            return;
    }
}

static bool run_load(struct pull *pull, struct poll *poll, const struct mark *mark,
                     struct apply_report *report, struct error *err)
{
    poll->world.arena = arena_new();
    poll->tend = tend_others;
    poll->context = pull;
    pull->long_reading = poll->mapping;
    bool is_ok = load_run(poll, mark, report, err);
    pull->long_reading = NULL;
    pull->must_load = true;
    arena_free(poll->world.arena);
    return is_ok;
}

/* The first load has an origin, and so a connection, of its own, which the stream does not have. */
static bool load_mapping(struct pull *pull, size_t index, const struct mark *mark,
                         struct apply_report *report, struct error *err)
{
    struct poll poll = make_poll(pull, index);
    struct pg *pg = NULL;

    poll.world.began_us = mark->is_loading ? mark->loading_since_us : mark->read_at_us;
    if (!writers_choose(&pull->writers, poll.mapping, &poll.world, err))
        return false;
    if (!mark->is_loaded && !poll.world.is_announced)
        poll.world.pg = pg = writers_open_load(&pull->writers, err);
    bool is_ok = poll.world.pg != NULL && run_load(pull, &poll, mark, report, err);
    writers_close_load(&pull->writers, pg);
    return is_ok;
}

/* What had been heard of before is read with the rest; of what is held the mark stays. Of what is
 * left for the next poll, which may be long in coming, is to be heard again. */
static bool poll_mapping(struct pull *pull, struct poll *poll, const struct mark *mark,
                         struct apply_report *report, struct error *err)
{
    int64_t left = report->held.left;
    int64_t reach;

    if (!writers_choose(&pull->writers, poll->mapping, &poll->world, err) ||
        !heard_reach(poll->world.pg, poll->mapping, &reach, err) ||
        !poll_changes(poll, mark, report, err))
        return false;
    if (report->held.left == left)
        return heard_forget(poll->world.pg, poll->mapping, reach, err);
    pull->has_heard = pull->has_heard || reach > 0;
    return true;
}

static bool read_mapping(struct pull *pull, size_t index, struct apply_report *report,
                         struct error *err)
{
    struct poll poll = make_poll(pull, index);
    struct mark mark;
    bool is_asked;

    arena_reset(pull->page_arena);
    if (!operation_take(pull->writers.pull, poll.mapping, &is_asked, err) ||
        !mark_read(pull->writers.pull, poll.mapping, &mark, err))
        return false;
    poll.world.began_us = mark.read_at_us;
    bool is_filling = strcmp(poll.mapping->state, "RESYNC") == 0;
    /* New columns are filled by reading all records again; polls go on though that fails. */
    if ((!mark.is_loaded || mark.is_loading || is_filling) && pull->long_reading == NULL) {
        struct error ignored;
        bool is_ok = load_mapping(pull, index, &mark, report, err);
        if (!is_ok && mark.is_loaded && !wait_is_stopping())
            poll_mapping(pull, &poll, &mark, report, &ignored);
        return is_ok;
    }
    return !mark.is_loaded || ((!mark.is_sweeping || sweep_run(&poll, report, err)) &&
                               poll_mapping(pull, &poll, &mark, report, err));
}

/* Whether the organisation has other fields than we thought: then they are read anew. */
static bool survey_mapping(struct pull *pull, size_t index)
{
    struct error err = {0};
    bool has_changed;

    pull->schedules[index].survey_due_ms = clock_monotonic_ms() + SURVEY_MS;
    if (!survey_take(pull->writers.barrier, pull->options->session, &pull->mappings.items[index],
                     &has_changed, &err)) {
        log_warning("could not look for an object's fields",
                    log_text("mapping", pull->mappings.items[index].object_name),
                    log_text("reason", err.message));
        return false;
    }
    pull->must_load = pull->must_load || has_changed;
    return has_changed;
}

/* One mapping's trouble is its own, unless the database or the sign-in is what failed. */
static bool note_failure(struct pull *pull, const struct mapping *mapping, struct error *err)
{
    struct error ignored;

    if (!writers_are_connected(&pull->writers))
        return false;
    log_warning("could not read", log_text("mapping", mapping->object_name),
                log_text("kind", error_kind_name(err->kind)), log_text("reason", err->message));
    if (err->kind == ERROR_RETRY)
        mark_failing(pull->writers.pull, mapping, err->message, &ignored);
    else
        move_daemon(pull->writers.pull,
                    &(struct move){.mapping_id = mapping->id,
                                   .event = STATE_FAIL,
                                   .to = "SYSTEM_ERROR",
                                   .description = err->message},
                    &ignored);
    return err->kind != ERROR_BUG;
}

/* A field that is gone fails every reading; one look is enough until one succeeds. */
static bool may_mend(struct pull *pull, size_t index, const struct error *err)
{
    struct schedule *schedule = &pull->schedules[index];

    if ((err->kind != ERROR_CONFIG && err->kind != ERROR_RECORD) || schedule->has_looked)
        return false;
    schedule->has_looked = true;
    return survey_mapping(pull, index);
}

/* While the organisation is away nobody is busy, and it is found soon after it is back. */
static int64_t failed_pause_ms(struct schedule *schedule, int64_t pause_ms)
{
    int64_t first_ms = pause_ms < FAILED_RETRY_MS ? pause_ms : FAILED_RETRY_MS;
    int doublings = schedule->failures < FAILED_DOUBLINGS ? schedule->failures++ : FAILED_DOUBLINGS;

    return first_ms << doublings;
}

static bool read_and_note(struct pull *pull, size_t index, struct error *err)
{
    const struct mapping *mapping = &pull->mappings.items[index];
    struct apply_report report = {0};
    int64_t pause_ms = (int64_t)mapping->polling_seconds * 1000;
    int64_t began_ms = clock_monotonic_ms();

    if (!read_mapping(pull, index, &report, err)) {
        if (wait_is_stopping())
            return true;
        pull->must_load = pull->must_load || report.has_grown;
        bool is_mended = report.has_grown || may_mend(pull, index, err);
        if (!is_mended && !note_failure(pull, mapping, err))
            return false;
        pause_ms = is_mended ? 0 : failed_pause_ms(&pull->schedules[index], pause_ms);
    } else {
        pull->schedules[index].has_looked = false;
        pull->schedules[index].failures = 0;
        /* Filling new columns has failed, and is to be tried again. */
        if (strcmp(mapping->state, "RESYNC") != 0 && mapping_lacks_values(mapping))
            pull->must_load = true;
        if (report.held.count > 0)
            pause_ms = held_pause_ms(clock_monotonic_ms() - began_ms, pause_ms);
    }
    pull->schedules[index].due_ms = clock_monotonic_ms() + pause_ms;
    return true;
}

static bool run_due(struct pull *pull, size_t index, struct error *err)
{
    const struct mapping *mapping = &pull->mappings.items[index];

    if (!abort_watch_begin(pull->writers.watch, mapping->id))
        return true;
    bool is_ok = read_and_note(pull, index, err);
    if (!abort_watch_end(pull->writers.watch))
        return is_ok;
    log_info("stopped reading, as asked", log_text("mapping", mapping->object_name));
    pull->must_load = true;
    return true;
}

/* Whether the mappings have changed since they were read. */
static bool drain_notifications(struct pull *pull)
{
    bool is_notified = false;
    PGnotify *notify;

    PQconsumeInput(pg_conn(pull->writers.pull));
    while ((notify = PQnotifies(pg_conn(pull->writers.pull))) != NULL) {
        if (heard_is_wake(notify->relname))
            pull->has_heard = true;
        else
            is_notified = true;
        pull->must_compare = pull->must_compare || strcmp(notify->extra, "repair") == 0;
        pull->must_poll = pull->must_poll || strcmp(notify->extra, "confirm") == 0;
        if (connection_is_new_version(notify->extra))
            pull->has_old_version = true;
        PQfreemem(notify);
    }
    return is_notified;
}

/* ---- what was heard ---- */

/* One that is still being loaded, or whose poll is due anyway, needs no reading of its own. */
static bool may_hear(const struct pull *pull, size_t index)
{
    const struct mapping *mapping = &pull->mappings.items[index];

    return mapping != pull->long_reading && mapping->operation == NULL &&
           strcmp(mapping->state, "ABORTED") != 0 &&
           pull->schedules[index].due_ms > clock_monotonic_ms();
}

static bool hear_mapping(struct pull *pull, size_t index, struct error *err)
{
    struct poll poll = make_poll(pull, index);
    struct schedule *schedule = &pull->schedules[index];
    struct apply_report report = {0};
    struct mark mark;
    bool must_poll = false;

    if (!mark_read(pull->writers.pull, poll.mapping, &mark, err))
        return false;
    if (!mark.is_loaded || mark.is_loading)
        return true;
    poll.world.began_us = mark.read_at_us;
    if (!heard_take_call(poll.mapping, &schedule->heard_until_ms)) {
        pull->has_heard = true;
        return true;
    }
    /* No poll is near that would read what is left out: all of it is held. */
    poll.world.began_sf_us = 0;
    bool is_ok = writers_choose(&pull->writers, poll.mapping, &poll.world, err) &&
                 heard_apply(&poll, &must_poll, &report, err);
    if (is_ok && report.held.count == 0 && !must_poll)
        return true;
    pull->must_load = pull->must_load || report.has_grown;
    schedule->due_ms = report.held.count > 0 ? clock_monotonic_ms() + HELD_RETRY_MS : 0;
    if (is_ok || report.has_grown)
        return true;
    schedule->due_ms = clock_monotonic_ms() + FAILED_RETRY_MS;
    return note_failure(pull, poll.mapping, err);
}

/* One mapping's work, which an abort ends. Between the pages of something long the watch is on
 * that. */
static bool run_watched(struct pull *pull, size_t index,
                        bool (*work)(struct pull *pull, size_t index, struct error *err),
                        struct error *err)
{
    if (pull->long_reading != NULL)
        return work(pull, index, err);
    if (!abort_watch_begin(pull->writers.watch, pull->mappings.items[index].id))
        return true;
    bool is_ok = work(pull, index, err);
    bool is_aborted = abort_watch_end(pull->writers.watch);
    pull->must_load = pull->must_load || is_aborted;
    return is_ok || is_aborted || wait_is_stopping();
}

static bool hear_all(struct pull *pull, struct error *err)
{
    struct heard_mappings waiting;

    if (!pull->has_heard || pull->is_paused)
        return true;
    pull->has_heard = false;
    struct arena *arena = arena_new();
    bool is_ok =
        heard_waiting(pull->writers.pull, pull->options->schema_name, arena, &waiting, err);
    for (size_t i = 0; is_ok && i < pull->mappings.count; i++)
        for (size_t j = 0; is_ok && j < waiting.count; j++)
            if (waiting.ids[j] == pull->mappings.items[i].id && may_hear(pull, i))
                is_ok = run_watched(pull, i, hear_mapping, err);
    arena_free(arena);
    return is_ok;
}

/* ---- the comparison of all records ---- */

static bool compare_mapping(struct pull *pull, size_t index, struct error *err)
{
    struct poll poll = make_poll(pull, index);
    struct schedule *schedule = &pull->schedules[index];
    struct drift_schedule turn = {
        .interval_s = drift_interval_s(poll.mapping, pull->options->drift_interval_s),
        .next_ms = DRIFT_RETRY_MS};
    struct mark mark;

    arena_reset(pull->page_arena);
    if (!mark_read(pull->writers.pull, poll.mapping, &mark, err))
        return false;
    poll.world.began_us = mark.read_at_us;
    bool is_whole = mark.is_loaded && !mark.is_loading && !mark.is_sweeping;
    bool is_ok = !is_whole || (writers_choose(&pull->writers, poll.mapping, &poll.world, err) &&
                               drift_turn(&poll, &mark, &turn, err));
    schedule->drift_due_ms = clock_monotonic_ms() + (is_ok ? turn.next_ms : DRIFT_RETRY_MS);
    if (is_ok)
        return true;
    /* A column may have grown. */
    pull->must_load = true;
    log_warning("could not compare all records", log_text("mapping", poll.mapping->object_name),
                log_text("reason", err->message));
    return writers_are_connected(&pull->writers) && err->kind != ERROR_BUG;
}

static bool may_compare(const struct pull *pull, size_t index)
{
    const struct mapping *mapping = &pull->mappings.items[index];

    return !pull->is_paused && mapping->operation == NULL && mapping != pull->long_reading &&
           strcmp(mapping->state, "ABORTED") != 0 &&
           pull->schedules[index].drift_due_ms <= clock_monotonic_ms();
}

static bool is_due(const struct pull *pull, size_t index)
{
    const struct mapping *mapping = &pull->mappings.items[index];

    return !pull->is_paused && strcmp(mapping->state, "ABORTED") != 0 &&
           (pull->schedules[index].due_ms <= clock_monotonic_ms() || mapping->operation != NULL);
}

/* What an operator asked for meanwhile goes before the rest. */
static bool run_all_due(struct pull *pull, struct error *err)
{
    for (size_t i = 0; i < pull->mappings.count && !wait_is_stopping(); i++) {
        if (!pull->is_paused && pull->schedules[i].survey_due_ms <= clock_monotonic_ms())
            survey_mapping(pull, i);
        if (is_due(pull, i) && !run_due(pull, i, err))
            return false;
        if (may_compare(pull, i) && !run_watched(pull, i, compare_mapping, err))
            return false;
        if (!hear_all(pull, err))
            return false;
        if (drain_notifications(pull)) {
            pull->must_load = true;
            return true;
        }
    }
    return true;
}

static int wait_ms(const struct pull *pull)
{
    int64_t idle_ms = pull->has_heard && !pull->is_paused ? HEARD_RETRY_MS : IDLE_WAIT_MS;
    int64_t soonest_ms = clock_monotonic_ms() + idle_ms;

    for (size_t i = 0; i < pull->mappings.count && !pull->is_paused; i++) {
        const struct schedule *schedule = &pull->schedules[i];
        int64_t due_ms =
            schedule->due_ms < schedule->drift_due_ms ? schedule->due_ms : schedule->drift_due_ms;

        if (strcmp(pull->mappings.items[i].state, "ABORTED") != 0 && due_ms < soonest_ms)
            soonest_ms = due_ms;
    }
    int64_t left_ms = soonest_ms - clock_monotonic_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

static bool run_until_stopped(struct pull *pull, struct error *err)
{
    pull->must_load = true;
    while (!wait_is_stopping()) {
        if (pull->has_old_version)
            return connection_ask_restart(err);
        if (pull->must_load && !load_mappings(pull, err))
            return false;
        bool must_retry = pull->must_load || pull->orphans_due_ms <= clock_monotonic_ms();
        pull->must_load = false;
        if (must_retry && !pull->is_paused)
            retry_orphans(pull);
        if (!run_all_due(pull, err) || !hear_all(pull, err))
            return false;
        pull->must_load = drain_notifications(pull) || pull->must_load;
        if (!pull->must_load &&
            wait_for(PQsocket(pg_conn(pull->writers.pull)), POLLIN, wait_ms(pull)) == WAIT_READY)
            pull->must_load = drain_notifications(pull);
        if (PQstatus(pg_conn(pull->writers.pull)) != CONNECTION_OK)
            return pg_set_error(pull->writers.pull, NULL, err);
        if (!abort_watch_check(pull->writers.watch, err))
            return false;
    }
    return true;
}

bool pull_run(const struct pull_options *options, struct error *err)
{
    struct pull pull = {.options = options};
    bool is_ok = open_pull(&pull, err) && run_until_stopped(&pull, err);

    arena_free(pull.mappings_arena);
    arena_free(pull.page_arena);
    growth_free(pull.growth);
    writers_close(&pull.writers);
    return is_ok || wait_is_stopping();
}
