/*
 * The seeded simulation: a small Salesforce, a small PostgreSQL, users of both, and an engine that
 * does what pgforce's roles do and asks src/sync for every decision.
 *
 * All that is random comes from one seed, so a failing seed replays exactly. A role runs until a
 * pause; there time goes on, users act, another role runs, or this one is killed. What stands
 * between two pauses is one database transaction or one request.
 *
 * The decisions are the shipped code: what an answer means, how fields merge, what goes next and
 * what goes together, where the watermark goes. The worlds are not; they know nothing of SQL or
 * HTTP. Not here: Bulk jobs, the allowance and units, which have no race with other writers that
 * single requests have not; unit tests and stories hold them.
 */
#ifndef PGFORCE_TESTS_MODEL_H
#define PGFORCE_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sync/delivery.h"
#include "sync/merge.h"
#include "sync/watermark.h"

enum {
    FIELDS = 2,
    MAX_ROWS = 48,
    MAX_RECORDS = 64,
    MAX_WAL = 600,
    MAX_LOG = 900,
    MAX_VALUES = 1200,
    MAX_QUEUE = 64, /* open transactions and late requests in Salesforce */
    MAX_FLIGHT = 64,
};

/* Values are unique tokens from 1; 0 is no value known. */
typedef uint32_t token_t;

enum side { SIDE_PG, SIDE_SF };

struct token_fate {
    enum side written_by;
    uint32_t owner; /* row index plus one, or record id; 0: not known yet, or a birth token */
    size_t field;
    bool was_in_pg;
    bool was_in_sf;
    bool is_in_ledger;
};

/* --- Salesforce ------------------------------------------------------------------------------ */

struct sf_record {
    uint32_t id;
    token_t key; /* external id: the PostgreSQL row's birth token; 0 for records born here */
    token_t fields[FIELDS];
    int64_t stamp_us; /* whole seconds, of the start of the last save */
    bool is_deleted;
    int64_t undeleted_us;           /* out of the recycle bin, the last time; 0: never */
    token_t newest_of_ours[FIELDS]; /* of those that PostgreSQL's users made and the engine sent */
};

enum sf_op { SF_CREATE, SF_UPDATE, SF_DELETE, SF_TOUCH, SF_UNDELETE };

struct sf_request {
    enum sf_op op;
    uint32_t id;
    token_t key;
    token_t fields[FIELDS];      /* 0: not sent */
    int64_t unmodified_since_us; /* 0: no precondition */
    bool is_upsert;
};

/* Something that will happen in Salesforce: a user's commit, or a request executed late. */
struct sf_event {
    bool is_used;
    bool is_by_user;
    int64_t at_us;
    int64_t stamp_us;
    struct sf_request request;
};

struct sf_answer {
    enum delivery_fate fate;
    bool is_success;
    enum delivery_error error;
    uint32_t id;
};

/* --- PostgreSQL ------------------------------------------------------------------------------ */

struct flight {
    token_t values[MAX_FLIGHT];
    size_t count;
};

/* A mapped row, with its line of the base table, which outlives it. */
struct pg_row {
    token_t key; /* birth token; 0 for rows born in Salesforce */
    uint32_t sfid;
    token_t fields[FIELDS];
    bool is_deleted;
    bool was_deleted_by_user;
    int64_t deleted_us;
    token_t came_back_at; /* undeleted in Salesforce: the newest value of that moment */
    int64_t changed_us;   /* commit time of the user's last change */
    /* the base: */
    uint32_t bound_id; /* sfid as the engine knows it, also when the row is gone */
    token_t base[FIELDS];
    struct flight in_flight[FIELDS];
    uint64_t base_changed;
    uint64_t known_deleted; /* when Salesforce told or answered that bound_id is gone; 0: never */
};

struct wal_entry {
    uint64_t lsn;
    bool is_ours; /* under the pull origin */
    enum delivery_action action;
    uint32_t row; /* index */
    bool has_sfid;
    token_t fields[FIELDS];  /* of the new row; 0 where unchanged by an UPDATE */
    token_t written[FIELDS]; /* what the engine wrote, when is_ours */
};

struct log_entry {
    uint64_t lsn; /* 0: queued by a merge */
    enum delivery_action action;
    uint32_t row;
    bool carries[FIELDS];
    token_t captured[FIELDS]; /* as the log had them: what the ordered algorithm sends */
    enum delivery_state state;
    enum delivery_phase phase;
    uint32_t attempt;
    bool was_sent;
    bool is_set_back; /* by an operator */
    bool is_mendable; /* refused for its values, or for its record was away: set back by an operator
                       */
    int64_t not_before_us;
    int64_t doubt_since_us;
    struct sf_request intent;
    token_t base_at_intent[FIELDS];
};

/* --- both, and the oracles' memory ------------------------------------------------------------ */

enum role { ROLE_ARCHIVE, ROLE_PUSH, ROLE_PULL, ROLE_COUNT };

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_ARCHIVE_DEDUPE,
    MUTANT_CONFIRM_BEFORE_COMMIT,
    MUTANT_NO_ECHO_FILTER,
    MUTANT_CREATE_BY_UPSERT,
    MUTANT_DUPLICATE_AS_FAILURE,
    MUTANT_DOUBT_AS_SUCCESS,
    MUTANT_NO_PRECONDITION,
    MUTANT_CURSOR_MAX_STRICT,
    MUTANT_MARK_BEFORE_ROWS,
    MUTANT_NO_IN_FLIGHT,
    MUTANT_NO_BARRIER,
    MUTANT_NO_TOMBSTONES,
    MUTANT_NO_STALE_CHECK,
    MUTANT_NO_CONFLICT_CHECK,
    MUTANT_NO_KEY_MATCH,
    MUTANT_FIXED_OVERLAP,
    MUTANT_FIXED_LAG,
    MUTANT_MARK_PASSES_HELD,
    MUTANT_NO_EXTERNAL_ID,
    MUTANT_RETRY_DROPPED,
    MUTANT_NO_DOUBT_HOLD,
    MUTANT_HISTORY_NOT_STATE,
    MUTANT_WHOLE_ROW,
    MUTANT_WHOLE_ROW_NO_CHECK,
    MUTANT_NO_REPAIR,
    MUTANT_STALE_READ_REVIVES,
    MUTANT_NO_LATE_HOLD,
    MUTANT_COUNT,
};

struct options {
    uint64_t seed;
    uint32_t histories;
    bool is_hot; /* one record, one field */
    enum mutant mutant;
    bool is_verbose;
};

struct sim {
    uint64_t random;
    int64_t now_us; /* Salesforce's clock */
    int64_t pg_clock_offset_us;
    bool is_hot;
    bool is_quiet; /* no users, faults or kills: letting things settle */
    bool has_trigger;
    bool has_receipts; /* a key is a receipt's: it outlives its record, and the pull does not see it
                        */
    bool is_merged;    /* the connection's algorithm (sync/fold.h) */
    bool is_verbose;
    enum mutant mutant;
    struct merge_rules rules;
    struct arena *arena; /* one plan's */
    bool is_running[ROLE_COUNT];

    struct sf_record records[MAX_RECORDS];
    size_t record_count;
    struct sf_event events[MAX_QUEUE];
    uint32_t sf_writes; /* successful ones of ours */

    struct pg_row rows[MAX_ROWS];
    size_t row_count;
    struct wal_entry wal[MAX_WAL];
    size_t wal_count;
    size_t slot_confirmed; /* entries of the WAL */
    size_t slot_synced;    /* what survives a server crash */
    size_t archive_progress;
    size_t archive_position; /* of the running receiver */
    struct log_entry log[MAX_LOG];
    size_t log_count;
    int64_t mark_us;
    uint64_t sequence;
    uint32_t pg_writes; /* ours to mapped rows */

    struct token_fate values[MAX_VALUES];
    token_t value_count;
    token_t round_first_value; /* values written in this round are from here */
    char violation[256];
};

/* model_main.c */
uint32_t sim_random(struct sim *sim, uint32_t below);
bool sim_chance(struct sim *sim, uint32_t percent);
token_t sim_new_value(struct sim *sim, enum side side, uint32_t owner, size_t field);
/* Records the first broken promise. */
void sim_violate(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Runs a role, unless it is running already. */
void sim_run(struct sim *sim, enum role role);
/* Lets the rest of the world act; false: the role was killed here. */
bool sim_pause(struct sim *sim, enum role role);

/* model_sf.c */
void sf_user_acts(struct sim *sim);
/* Executes what is due. */
void sf_run(struct sim *sim);
bool sf_is_idle(const struct sim *sim);
struct sf_answer sf_send(struct sim *sim, const struct sf_request *request);
const struct sf_record *sf_find(const struct sim *sim, uint32_t id);
/* Alive, unless it is by its receipt. */
const struct sf_record *sf_find_key(const struct sim *sim, token_t key);
/* The last one made. */
const struct sf_record *sf_find_deleted_key(const struct sim *sim, token_t key);
/* latestDateCovered: before every transaction still open. */
int64_t sf_covered_us(const struct sim *sim);
int64_t sf_stamp_us(const struct sim *sim);

/* model_pg.c */
void pg_user_acts(struct sim *sim);
void pg_server_crashes(struct sim *sim);
struct value pg_value(const token_t *token);
int64_t pg_clock_us(const struct sim *sim);
struct pg_row *pg_row_of(struct sim *sim, uint32_t sfid);
struct pg_row *pg_row_of_key(struct sim *sim, token_t key);
void pg_operator_retries(struct sim *sim);
struct pg_row *pg_engine_inserts(struct sim *sim, const struct sf_record *record);
/* fields: 0 leaves a field alone. */
void pg_engine_updates(struct sim *sim, struct pg_row *row, const token_t *fields);
void pg_engine_deletes(struct sim *sim, struct pg_row *row);
struct log_entry *pg_log_append(struct sim *sim, enum delivery_action action, uint32_t row);
void pg_set_base(struct sim *sim, struct pg_row *row, size_t field, token_t value);

/* model_engine.c, model_push.c */
void engine_archive(struct sim *sim);
void engine_pull(struct sim *sim);
void engine_push(struct sim *sim);
struct merge_result engine_merge(struct sim *sim, const struct pg_row *row, size_t field,
                                 const struct sf_record *theirs);
void engine_ledger(struct sim *sim, const struct merge_result *result);
/* Salesforce's value of the field has won: no entry that waits carries its own any more. */
void engine_overrule(struct sim *sim, const struct pg_row *row, size_t field);

/* model_oracle.c */
bool oracle_is_settled(const struct sim *sim);
void oracle_check(struct sim *sim);

#endif
