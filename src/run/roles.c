#include "run/roles.h"

#include <string.h>

#include "archive/counter.h"
#include "archive/gap.h"
#include "archive/housekeeper.h"
#include "archive/install.h"
#include "archive/progress.h"
#include "archive/restored.h"
#include "archive/sent.h"
#include "base/log.h"
#include "base/service.h"
#include "base/wait.h"
#include "control/watch.h"
#include "inbound/listen.h"
#include "inbound/pull.h"
#include "mapping/connection.h"
#include "outbound/push.h"
#include "pg/origin.h"
#include "pg/replica.h"
#include "pg/turn.h"
#include "run/salesforce.h"
#include "run/setup.h"
#include "run/supervisor.h"
#include "stream/sink_archive.h"
#include "stream/slot.h"
#include "stream/stream.h"

/* After a failover the same slot goes on in a new history: worth a line, and nothing else. */
static bool follow_timeline(struct pg *pg, const struct config *config,
                            const struct replica_system *system, const struct progress *progress,
                            struct error *err)
{
    if (system->timeline == progress->timeline)
        return true;
    log_warning("the server has a new timeline", log_number("was", progress->timeline),
                log_number("is", system->timeline));
    return progress_follow_timeline(pg, config->schema_name, system->timeline, err);
}

/* A slot that was given up on purpose is missing, too: the reason is worth more than that. */
static bool refuse_gap(struct pg *pg, const struct config *config, struct error *err)
{
    struct buf reason BUF_AUTO = {0};

    buf_init(&reason, 4096);
    if (!gap_find_open(pg, config->schema_name, &reason, err))
        return false;
    if (reason.size_bytes == 0)
        return true;
    error_set(err, ERROR_CONFIG,
              "changes are missing from the log: %s. Run `pgforce setup --accept-gap` to go on from"
              " there with a new slot",
              reason.data);
    return error_because(err, ERROR_CAUSE_GAP);
}

/* The slot is compared with the progress before anything is read from it: a gap is never silent. */
static bool verify(struct pg *pg, const struct config *config, struct error *err)
{
    struct replica_system system;
    struct progress progress;
    struct slot slot;

    return install_check_version(pg, config->schema_name, err) && refuse_gap(pg, config, err) &&
           progress_load(pg, config->schema_name, &progress, err) &&
           slot_refuse_synchronous(pg, progress.slot_name, err) &&
           slot_read(pg, progress.slot_name, &slot, err) &&
           replica_identify(config->database_url, "pgforce archive", &system, err) &&
           slot_verify(&slot, system.identifier, &progress, err) &&
           follow_timeline(pg, config, &system, &progress, err);
}

static bool stream_to_log(const struct config *config, struct error *err)
{
    struct stream_options options = stream_default_options();
    struct setup_name slot_name = setup_slot_name(config->schema_name);
    struct sink_archive_options sink_options = {.url = config->database_url,
                                                .schema_name = config->schema_name,
                                                .allows_capture_off = config->allows_capture_off};
    struct sink *sink = sink_archive_new(&sink_options);
    struct buf origins BUF_AUTO = {0};
    struct buf tables BUF_AUTO = {0};
    struct buf excluded BUF_AUTO = {0};

    buf_init(&origins, 1024);
    buf_init(&tables, 1024);
    buf_init(&excluded, 1024);
    /* What pull writes where users' triggers fire is told apart row by row: stream/echo.h. */
    for (size_t i = 0; origin_role(i) != NULL; i++)
        if (strcmp(origin_role(i), "echo") != 0)
            buf_printf(&origins, "%s%s", i > 0 ? "," : "",
                       origin_name(origin_role(i), config->schema_name).text);
    buf_printf(&tables, "pgforce.mapping,%s.*", config->schema_name);
    buf_printf(&excluded, "%s._*", config->schema_name);
    const struct replica_option plugin_options[] = {{"exclude_origins", origins.data},
                                                    {"tables", tables.data},
                                                    {"exclude_tables", excluded.data},
                                                    {NULL, NULL}};

    options.url = config->database_url;
    options.application_name = slot_name.text;
    options.slot_name = slot_name.text;
    options.plugin_options = plugin_options;
    bool is_ok = stream_run(&options, sink, err);
    sink_archive_free(sink);
    return is_ok || slot_explain_error(err);
}

bool roles_archive(const struct config *config, struct error *err)
{
    service_speak();
    struct pg *pg = pg_open(config->database_url, "pgforce archive", err);
    /* A standby looks at the slot when its turn has come: until then it is another's. */
    bool is_ok = pg != NULL && turn_await(pg, "archive", config->schema_name, err) &&
                 verify(pg, config, err) &&
                 counter_add(pg, config->schema_name, "connects", "", err);

    pg_close(pg);
    return (is_ok && stream_to_log(config, err)) || wait_is_stopping();
}

/* The connection is for the check at signing in; the role opens its own. */
static struct sf_session *sign_in(const struct config *config, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce", err);
    bool is_set_up = pg != NULL && install_check_version(pg, config->schema_name, err);
    struct sf_session *session = is_set_up ? salesforce_open(config, pg, err) : NULL;
    struct error ignored;

    if (is_set_up && (session != NULL || err->kind == ERROR_CONFIG))
        connection_note_sign_in(pg, config->schema_name, session != NULL, &ignored);
    pg_close(pg);
    return session;
}

static bool compare_sent(struct pg *pg, const struct config *config, struct error *err)
{
    return config->state_directory == NULL ||
           sent_compare(pg, config->state_directory, config->schema_name, err);
}

/* What waits in an older copy of the log may have been sent by the database that is gone. */
static bool refuse_restored(const struct config *config, struct error *err)
{
    struct buf reason BUF_AUTO = {0};
    struct pg *pg = pg_open(config->database_url, "pgforce push", err);

    buf_init(&reason, 4096);
    bool is_ok =
        pg != NULL &&
        ((compare_sent(pg, config, err) && restored_find(pg, config->schema_name, &reason, err)) ||
         error_prefix(err, "is this database set up? (`pgforce setup`)"));
    pg_close(pg);
    if (!is_ok || reason.size_bytes == 0)
        return is_ok;
    error_set(err, ERROR_CONFIG,
              "sends nothing, for this database is an older copy: %s. `pgforce recover` says what"
              " of its log is in the organisation already",
              reason.data);
    return error_because(err, ERROR_CAUSE_GAP);
}

bool roles_push(const struct config *config, struct error *err)
{
    if (!refuse_restored(config, err))
        return false;
    struct sf_session *session = sign_in(config, err);
    struct push_options options = {.url = config->database_url,
                                   .schema_name = config->schema_name,
                                   .session = session,
                                   .parallel = (size_t)config->push_parallel,
                                   .is_atomic = config->push_is_atomic,
                                   .state_directory = config->state_directory,
                                   .bulk_threshold = (size_t)config->bulk_threshold,
                                   .quarantine_ms = (int64_t)config->doubt_quarantine_s * 1000};
    bool is_ok = session != NULL && push_run(&options, err);

    sf_session_close(session);
    return is_ok;
}

bool roles_pull(const struct config *config, struct error *err)
{
    struct sf_session *session = sign_in(config, err);
    struct pull_options options = {.url = config->database_url,
                                   .schema_name = config->schema_name,
                                   .session = session,
                                   .bulk_above = config->bulk_read_above,
                                   .drift_interval_s = config->drift_interval_s,
                                   .confirms_all_deletions = config->confirms_all_deletions};
    bool is_ok = session != NULL && pull_run(&options, err);

    sf_session_close(session);
    return is_ok;
}

bool roles_listen(const struct config *config, struct error *err)
{
    struct sf_session *session = sign_in(config, err);
    struct listen_options options = {
        .url = config->database_url, .schema_name = config->schema_name, .session = session};
    bool is_ok = session != NULL && listen_run(&options, err);

    sf_session_close(session);
    return is_ok;
}

bool roles_housekeeper(const struct config *config, struct error *err)
{
    struct retention retention = {.schema_name = config->schema_name,
                                  .settled_s = config->archive_after_s,
                                  .keep_days = config->archive_keep_days};

    return housekeeper_run(config->database_url, &retention, err);
}

bool roles_watch(const struct config *config, struct error *err)
{
    const struct watch_options options = {.database_url = config->database_url,
                                          .schema_name = config->schema_name,
                                          .app_role = config->app_role,
                                          .limits = config->limits,
                                          .give_up_bytes = config->slot_give_up_bytes,
                                          .notify_url = config->notify_url,
                                          .notify_command = config->notify_command};

    return watch_run(&options, err);
}

bool roles_serve(const struct config *config, struct error *err)
{
    struct serve_options options = config->api;

    options.database_url = config->database_url;
    options.schema_name = config->schema_name;
    options.limits = &config->limits;
    if (options.address == NULL)
        options.address = "127.0.0.1:8181";
    return serve_run(&options, err);
}

bool roles_run(const struct config *config, struct error *err)
{
    static const char *const roles[] = {"archive",     "push",  "pull", "listen",
                                        "housekeeper", "watch", "serve"};
    size_t count = sizeof(roles) / sizeof(roles[0]);

    /* The API is served where an address was given for it: two daemons may share a machine. */
    return supervisor_run(roles, config->api.address != NULL ? count : count - 1, err);
}
