/*
 * The life of one write to Salesforce: its states, what an answer means, what to do when none came.
 *
 * The states users see are those of the trigger log's `state` column. Underneath, while an entry
 * is PENDING, pgforce.delivery holds the phase: SENDING (the intent is committed, the request may
 * have left) or IN_DOUBT (no readable verdict came back). A crash while SENDING is doubt, never
 * NEW.
 *
 *   captured ─┬─► NEW ──┬─ pick ───► PENDING ─┬─ accept ─► SUCCESS
 *             │    ▲    │             ▲       ├─ refuse ─► FAILED ─┬─ requeue ───► NEW
 *             │    │    │     SENDING ┴ IN_   ├─ merge ──► MERGED  ├─ recapture ─► REQUEUED
 *             │    │    │               DOUBT │                    ├─ mark ──────► REQUEUE
 *             │    └────┼────── resend ───────┘                    │      └ requeue ─► NEW
 *             │         ├─ merge ──► MERGED                        └─ dismiss ──► IGNORED
 *             │         ├─ refuse ─► FAILED
 *             │         └─ skip, dismiss ─► IGNORED
 *             ├─► IGNORE ── skip ──► IGNORED
 *             └─► READONLY
 *
 * What leaves FAILED, and dismiss, are the user's; all else is the push role's.
 *
 * Every function here answers from its arguments alone: time, randomness and rows come in. It knows
 * nothing of HTTP, SQL or error texts; the caller has already put an answer into a class.
 *
 * Sources: Salesforce REST API Developer Guide (status codes and error responses, insert or update
 * by external id), Salesforce SOAP API Developer Guide (status codes).
 */
#ifndef PGFORCE_SYNC_DELIVERY_H
#define PGFORCE_SYNC_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum delivery_state {
    DELIVERY_NEW,
    DELIVERY_IGNORE,
    DELIVERY_READONLY,
    DELIVERY_PENDING,
    DELIVERY_SUCCESS,
    DELIVERY_MERGED,
    DELIVERY_IGNORED,
    DELIVERY_FAILED,
    DELIVERY_REQUEUE,
    DELIVERY_REQUEUED,
};
enum { DELIVERY_STATE_COUNT = DELIVERY_REQUEUED + 1 };

/* pgforce.delivery's own column; only beside DELIVERY_PENDING. */
enum delivery_phase {
    DELIVERY_NO_PHASE,
    DELIVERY_SENDING,
    DELIVERY_IN_DOUBT,
};

enum delivery_action {
    DELIVERY_INSERT,
    DELIVERY_UPDATE,
    DELIVERY_DELETE,
};

/* The texts of the tables: "NEW", "IN_DOUBT", "INSERT". No phase is "". */
const char *delivery_state_name(enum delivery_state state);
const char *delivery_phase_name(enum delivery_phase phase);
const char *delivery_action_name(enum delivery_action action);
bool delivery_state_parse(const char *text, enum delivery_state *state);
bool delivery_phase_parse(const char *text, enum delivery_phase *phase);
bool delivery_action_parse(const char *text, enum delivery_action *action);

/* True once nothing will happen to the entry unless a user acts. */
bool delivery_is_settled(enum delivery_state state);

enum delivery_event {
    DELIVERY_PICK,      /* taken for sending, its intent committed */
    DELIVERY_ACCEPT,    /* Salesforce has it */
    DELIVERY_REFUSE,    /* Salesforce will not have it, or its insert failed before it */
    DELIVERY_RESEND,    /* certainly not executed: again, later */
    DELIVERY_MERGE,     /* a later entry carries its values */
    DELIVERY_SKIP,      /* nothing to send */
    DELIVERY_REQUEUING, /* the same entry is set back */
    DELIVERY_MARK,      /* the user asks for that */
    DELIVERY_RECAPTURE, /* a fresh copy of the row has been logged */
    DELIVERY_DISMISS,   /* the user gives it up */
};

enum delivery_actor { DELIVERY_BY_PUSH, DELIVERY_BY_USER };

struct delivery_transition {
    enum delivery_state from;
    enum delivery_event event;
    enum delivery_state to;
    enum delivery_actor who;
};

/* The table of the drawing, for tests and documentation. */
const struct delivery_transition *delivery_transitions(size_t *count);

/* False, and *to untouched, when there is no such transition. */
bool delivery_move(enum delivery_state from, enum delivery_event event, enum delivery_state *to);

struct delivery_capture {
    enum delivery_action action;
    bool is_read_only;    /* the mapping's access */
    bool has_changes;     /* an UPDATE that changed the text of some mapped column */
    bool has_sfid;        /* in the old row */
    bool has_live_insert; /* the log holds an INSERT of this record that is NEW, PENDING or SUCCESS
                           */
};

/*
 * The state a change is logged with. As Heroku Connect's, but for a DELETE of a row without an sfid
 * whose INSERT is in the log: ignoring it would leave the record alive in Salesforce, so it is NEW
 * and waits behind its INSERT. SUCCESS counts too: the row may have been deleted while its INSERT
 * was on the way, and then the id was bound after the row, and its sfid column, were gone.
 */
enum delivery_state delivery_capture_state(const struct delivery_capture *capture);

/* What became of the request that carried a write. */
enum delivery_fate {
    DELIVERY_NOT_SENT, /* connect refused, DNS, TLS: not one byte of the body left */
    DELIVERY_REFUSED,  /* the whole request was turned away before execution: 401, 429, ... If that
                          is for one record's data, send each alone first: others must not fail */
    DELIVERY_ANSWERED, /* there is a readable result for this very record */
    DELIVERY_UNKNOWN,  /* anything else: it may have been done, may be done later, or never */
};

/* The class of a refusal. An unlisted code is DELIVERY_ERROR_UNKNOWN. */
enum delivery_error {
    DELIVERY_ERROR_NONE,
    DELIVERY_ERROR_TRANSIENT,         /* row locks, governor limits, UNKNOWN_EXCEPTION */
    DELIVERY_ERROR_ALREADY_DONE,      /* our external id is taken; the record is deleted already */
    DELIVERY_ERROR_CONFLICT,          /* 412: changed since we read it */
    DELIVERY_ERROR_GONE,              /* our own id is deleted or unknown */
    DELIVERY_ERROR_AMBIGUOUS,         /* several records match one external id */
    DELIVERY_ERROR_DATA,              /* validation, length, picklist, duplicate rules */
    DELIVERY_ERROR_REFERENCE_MISSING, /* the parent is not there yet */
    DELIVERY_ERROR_PERMISSION,
    DELIVERY_ERROR_SCHEMA,      /* unknown field or object */
    DELIVERY_ERROR_ORG_STOPPED, /* storage, licence, API disabled */
    DELIVERY_ERROR_SESSION,
    DELIVERY_ERROR_LIMIT, /* request allowance, 429, edge 503 */
    DELIVERY_ERROR_UNKNOWN,
};

/* A record that is still refused for a passing reason after so many attempts FAILS. An outage (not
 * sent, refused) is retried for ever. */
enum { DELIVERY_ATTEMPTS_MAX = 12 };

struct delivery_attempt {
    enum delivery_action action;
    enum delivery_fate fate;
    bool is_success;           /* of this record; when ANSWERED */
    enum delivery_error error; /* when ANSWERED without success, or REFUSED */
    uint32_t attempt;          /* this one's number, from 1 */
    bool has_unique_key;       /* a unique external id was sent with the INSERT, or a receipt */
    bool has_receipt;          /* an earlier attempt's receipt tells whether it was done */
    bool has_answered_id;      /* the answer names a record: created, or the key's holder */
    bool was_sent_before;      /* an earlier attempt of this entry may have been executed */
};

/* What the push role does with the entry. */
enum delivery_todo {
    DELIVERY_SETTLE,       /* store verdict.state; it is over */
    DELIVERY_RETRY,        /* store NEW; send again after delivery_backoff_ms(wait, ...) */
    DELIVERY_READ_BACK,    /* store PENDING, IN_DOUBT; hold this record; delivery_resolve decides */
    DELIVERY_READ_LATER,   /* still in doubt, and only time will tell: read back again after wait */
    DELIVERY_MERGE_AGAIN,  /* store NEW; read the record and merge (sync/merge.h), then send */
    DELIVERY_PARK_MAPPING, /* store NEW; describe again once, else stop this mapping and say so */
    DELIVERY_STOP_WRITES,  /* store NEW; stop writing to the organisation and alert */
};

/* The class of back-off before the next try. */
enum delivery_wait {
    DELIVERY_NO_WAIT,
    DELIVERY_WAIT_SESSION, /* renew the session first; short */
    DELIVERY_WAIT_SHORT,   /* a lock, a lost connection: from 1 s up to 5 min */
    DELIVERY_WAIT_LONG,    /* an allowance is used up: from 1 min up to 1 h */
};

struct delivery_verdict {
    enum delivery_todo todo;
    enum delivery_state state; /* what to store in the log */
    enum delivery_phase phase; /* what to store in pgforce.delivery */
    enum delivery_wait wait;
    bool binds_id; /* the id in the answer is this row's sfid: store it in the same transaction,
                      with base := the values of the intent, never the values found */
    bool is_gone;  /* Salesforce deleted the record: leave a tombstone, apply the delete policy */
    const char *reason; /* our words beside Salesforce's; NULL on success. Static. */
};

/*
 * What an attempt's outcome means. Never resends what may have been executed.
 *
 * A create that is repeated must repeat the values of its first intent: whichever of the two is
 * executed, the base is then the intent's. What the row has become since is in later entries.
 */
struct delivery_verdict delivery_judge(const struct delivery_attempt *attempt);

/* What a mapping wants of a lost create that no unique key protects. */
enum delivery_lost_create {
    DELIVERY_LOST_PROBE,   /* look for a record like it, wait out the quarantine, send again */
    DELIVERY_LOST_RECEIPT, /* a unique key that is made in the same transaction protects it */
    DELIVERY_LOST_MARKER,  /* look for the record with its marker; then as the probe */
    DELIVERY_LOST_FAIL,    /* at most once: a person decides */
    DELIVERY_LOST_RESEND,  /* at least once: a second record may come of it */
    DELIVERY_LOST_REFUSE,  /* such creates are not sent at all */
};

/* "probe", "receipt", "marker", "fail", "resend", "refuse": the mapping's option. */
bool delivery_lost_create_parse(const char *text, enum delivery_lost_create *lost);

/* What a read-back of a write in doubt found. */
struct delivery_doubt {
    enum delivery_action action;
    bool has_unique_key;
    enum delivery_lost_create lost_create; /* without such a key: as it was sent */
    /* Live records: by external id or marker or, without either, by content and not bound to
     * another row; for UPDATE and DELETE, by sfid. */
    uint32_t found_count;
    bool equals_ours;      /* the one found holds every value of the intent */
    bool equals_base;      /* it still holds the values from before (UPDATE) */
    bool is_created_by_us; /* by our user, not before it was sent */
    bool was_sent;         /* an attempt of this entry may have been executed */
    /* An INSERT of which no live record is found: our user has made its record since it was sent,
     * and somebody has deleted it. */
    bool was_deleted_since;
    /* Likewise, without such a key: our user has made some record since, which belongs to no row,
     * and somebody has changed it; it may have been like this one. */
    bool may_be_changed;
    bool may_adopt; /* the mapping takes over existing records with the same key: such an INSERT is
                       an upsert, which a repetition does again */
    bool is_quarantine_over; /* no lost request can still take effect: see delivery_quarantine_ms */
};

struct delivery_verdict delivery_resolve(const struct delivery_doubt *doubt);

/*
 * How long a lost request may still take effect. A repeated create with a unique key is harmless in
 * every order, so it waits for nothing; without a key it is ten minutes (the longest a Bulk API
 * chunk may run; REST documents no bound). An update or delete repeats absolute facts: one whole
 * second, the grain of If-Unmodified-Since, and one more.
 */
int64_t delivery_quarantine_ms(enum delivery_action action, bool has_unique_key);

/* Before attempt + 1: doubles per attempt up to the class's cap; random01 in [0, 1) spreads it over
 * the upper half. */
int64_t delivery_backoff_ms(enum delivery_wait wait, uint32_t attempt, double random01);

#endif
