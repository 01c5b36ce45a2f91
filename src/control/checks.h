/*
 * What can be wrong with a connection, as one table: a row per rule, and one run that finds all
 * that is wrong at once.
 *
 * A rule asks the server (sql), the organisation as a whole (look), or one object of it (judge); it
 * says what it saw in figures, and the very statement or command that mends it. A rule that cannot
 * be asked is SKIPPED with the reason and stops no other. Nothing is changed. Levels and the ids
 * MUST_USE_RECENT_API_VERSION and SHOULD_HAVE_LOG_DRAIN are Heroku Connect's.
 *
 * Source: Heroku Dev Center, "Heroku Connect Diagnose".
 */
#ifndef PGFORCE_CONTROL_CHECKS_H
#define PGFORCE_CONTROL_CHECKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "mapping/organisation.h"
#include "pg/pg.h"
#include "sf/session.h"

enum checks_level { CHECKS_RED, CHECKS_YELLOW, CHECKS_GREEN, CHECKS_SKIPPED };

enum checks_scope { CHECKS_CONNECTION, CHECKS_MAPPING };

/* What there must be for a rule to be asked at all. */
enum checks_needs { CHECKS_NEEDS_NOTHING, CHECKS_NEEDS_DATABASE, CHECKS_NEEDS_SETUP };

struct checks;

struct checks_rule {
    const char *id;
    const char *title;
    enum checks_scope scope;
    enum checks_needs needs;
    /* A row per finding: object_name (null for the connection), level, message, remedy. No row: all
     * is well. It begins after "with given as (...)", and where it needs the setup, "mapped as
     * (...)": see checks.c. */
    const char *sql;
    bool (*look)(struct checks *checks, const struct checks_rule *rule, struct error *err);
    bool asks_organisation; /* look does; judge always does */
    void (*judge)(struct checks *checks, const struct checks_rule *rule,
                  const struct mapping *mapping, const struct sf_object *object);
    /* What an operator is told of at once: Heroku Connect's event type, or ours. NULL: only in the
     * report. */
    const char *event_type;
};

struct checks_finding {
    const struct checks_rule *rule;
    const char *object_name; /* NULL: of the connection */
    enum checks_level level;
    const char *message;
    const char *remedy; /* NULL: there is none to type */
};

struct checks_report {
    struct checks_finding *items;
    size_t count;
    size_t room;
};

struct checks_limits {
    int64_t slot_warning_bytes;
    int64_t slot_critical_bytes;
    int long_transaction_s;
    int stalled_s; /* without progress for so long the archive counts as stuck */
};

/* What to look at, while checks_run runs. Where pg or session is NULL, their absence is a finding,
 * with the reason. */
struct checks_target {
    const char *schema_name;
    const char *app_role;    /* may be NULL */
    const char *object_name; /* only this mapping's; NULL: all */
    struct checks_limits limits;
    struct pg *pg;
    const char *no_database; /* why not */
    struct sf_session *session;
    const char *no_session;  /* why not; NULL with no session: nobody wanted one */
    bool is_for_notice_only; /* only rules that have an event type */
};

/* For the functions of rules. */
struct checks {
    const struct checks_target *target;
    struct arena *arena;
    struct checks_report *report;
    struct mapping_list mappings; /* empty before the setup */
    struct organisation *organisation;
    bool is_set_up;
};

/* Everything lives in the arena. False only for what makes the run itself impossible: told to stop,
 * an object_name that is not mapped (ERROR_USAGE). */
bool checks_run(const struct checks_target *target, struct arena *arena,
                struct checks_report *report, struct error *err);

/* message and remedy must live in the arena or for ever. */
void checks_add(struct checks *checks, struct checks_finding finding);

/* The connection's finding of one rule, for look. */
void checks_say(struct checks *checks, const struct checks_rule *rule, enum checks_level level,
                const char *message, const char *remedy);

size_t checks_count(const struct checks_report *report, enum checks_level level);

/* "RED", "YELLOW", "GREEN", "SKIPPED". */
const char *checks_level_name(enum checks_level level);

/* As Heroku Connect's validations: {errors, warnings, passes, skips, mappings: {Object: {...}}}.
 * The caller owns it. */
json_t *checks_report_json(const struct checks_report *report);

/* All rules, as a Markdown table. */
void checks_print_markdown(FILE *out);

#endif
