/*
 * How two edits of a record meet, field by field.
 *
 * For one field: the base (the last value both sides agreed on), ours (PostgreSQL now), theirs
 * (Salesforce now), and the values in flight (sent by us, not yet seen coming back). Values are
 * compared as canonical text, which the caller supplies; VALUE_NULL equals VALUE_NULL. Every other
 * kind (absent, unchanged, omitted) is an unknown value and equals nothing.
 *
 *   theirs        ours          meaning                    base := theirs   then
 *   ------------  ------------  -------------------------  ---------------  -----------------------
 *   = base        = base        quiet                      -                -
 *   = base        differs       our change                 -                send ours
 *   in flight     any           our own write, seen        yes              send ours if it differs
 *   differs       = base        their change               yes              take theirs
 *   differs       = theirs      the same change twice      yes              -
 *   differs       differs       conflict                   yes              winner; loser to ledger
 *   no base:      = theirs      first contact              yes              -
 *   no base:      differs       first contact, unequal     yes              the adopt policy
 *   unknown       any           nothing can be said        -                -
 *
 * "send ours" only where no entry for the field is queued already. When ours wins a conflict the
 * base still becomes theirs: that is the value we have seen and overrule; once ours is delivered
 * the delivery makes it the base. (Were it the base at once, reading theirs again before ours
 * arrives would look like a foreign change and undo ours.)
 *
 * The caller has passed the barrier: every local change up to now is decoded, and the row is
 * locked.
 */
#ifndef PGFORCE_SYNC_MERGE_H
#define PGFORCE_SYNC_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "change/change.h"

enum merge_policy {
    MERGE_LAST_WRITER,
    MERGE_POSTGRES,
    MERGE_SALESFORCE,
};

/* "last-writer", "postgres", "salesforce": the mapping's option. */
const char *merge_policy_name(enum merge_policy policy);
bool merge_policy_parse(const char *text, enum merge_policy *policy);

enum merge_side { MERGE_NOBODY, MERGE_OURS, MERGE_THEIRS };

struct merge_rules {
    enum merge_policy policy;
    enum merge_policy tie;  /* MERGE_POSTGRES or MERGE_SALESFORCE, when the last is not clear */
    int64_t ours_time_us;   /* commit time of our last change of the record */
    int64_t theirs_time_us; /* their SystemModstamp */
    int64_t clock_skew_us;  /* measured, of the two clocks; stamps are whole seconds beside it */
};

struct merge_field {
    struct value base;
    struct value ours;
    struct value theirs;
    const struct value *in_flight;
    size_t in_flight_count;
    bool is_queued; /* an entry of the log will carry ours: NEW, or FAILED and the user's to mend */
    bool is_under_way; /* a PENDING one carries what it was sent with: enough where theirs is still
                          the base, not where theirs has moved */
};

enum merge_case {
    MERGE_QUIET,
    MERGE_OUR_CHANGE,
    MERGE_OWN_WRITE,
    MERGE_THEIR_CHANGE,
    MERGE_SAME_CHANGE,
    MERGE_CONFLICT,
    MERGE_FIRST_EQUAL,
    MERGE_FIRST_UNEQUAL, /* the ledger gets the loser, as in a conflict */
    MERGE_UNKNOWN,
};

struct merge_result {
    enum merge_case what;
    bool takes_theirs;      /* write theirs to PostgreSQL under our origin */
    bool sends_ours;        /* queue ours for Salesforce */
    bool moves_base;        /* base := theirs */
    enum merge_side winner; /* of a conflict or an unequal first contact */
    struct value loser;     /* for the ledger; VALUE_ABSENT without a winner */
};

struct merge_result merge_field(const struct merge_field *field, const struct merge_rules *rules);

/* Who wins a conflict; public for the ledger's words. */
enum merge_side merge_winner(const struct merge_rules *rules);

/*
 * Whether a delivered value becomes the base: only if the base is still what it was when the intent
 * was stored. Else a foreign edit was merged while the write was on its way.
 */
bool merge_delivery_moves_base(const struct value *base_at_intent, const struct value *base_now);

/* A text, and null, which is NULL; and back: NULL also for what is not known. */
struct value merge_value(const char *text);
const char *merge_text(const struct value *value);

/*
 * Whether what Salesforce has is only what it had before changes of ours that it refused. Then it
 * is no change of its own, and no conflict: the row kept the refused values, so that a later
 * change's `old` names what Salesforce never had. befores: the field's values before each.
 */
bool merge_is_left(const struct value *theirs, const struct value *befores, size_t count);

/* Same known value: both null, or the same text. Unknown values equal nothing. */
bool merge_equal(const struct value *left, const struct value *right);

/*
 * Whether a record read from Salesforce must not be merged but read again: its base was changed
 * between the moment the reading began and now, so what was read may be older than the base. Both
 * are numbers of one sequence of PostgreSQL's, drawn before the first request of the reading and at
 * each change of the record's base; 0 is never. Inbound and outbound run beside each other, so both
 * must ask: a stale row that is merged undoes a newer value.
 */
bool merge_is_stale(uint64_t read_began, uint64_t base_changed);

/*
 * Whether a row that comes out of the log under our own origin is only what we wrote. If it is
 * not, a user's trigger changed it inside our transaction, and the fields that differ are the
 * user's changes: their indexes go to differing (room for count, may be NULL).
 */
bool merge_is_echo(const struct value *written, const struct value *row, size_t count);
size_t merge_differing(const struct value *written, const struct value *row, size_t count,
                       size_t *differing);

/*
 * How an update is to be sent after a look at the record. Between the look and the write another
 * may change it: where that is likely, because somebody else has just done so, the write carries a
 * condition, and so does one that was in doubt, whose copy may still be done. The condition counts
 * whole seconds, so a change in the second of the look itself must be over before it means
 * anything. Source: REST API Developer Guide, "Conditional Requests".
 */
enum merge_care {
    MERGE_CARELESS,    /* as it comes, with others */
    MERGE_CONDITION,   /* only if the record has not been changed since */
    MERGE_WAIT_SECOND, /* look again when the second is over */
};

/* Somebody who changed a record this lately may be at it still. */
enum { MERGE_CONTENDED_S = 300, MERGE_CONDITIONS_MAX = 3 };

struct merge_sight {
    int64_t changed_s; /* LastModifiedDate; 0: not known */
    int64_t looked_s;  /* Salesforce's clock when it was read; 0: not known */
    bool is_by_us;     /* the last change is our user's */
    bool was_in_doubt;
    uint32_t attempt; /* before this one: a condition that never holds is given up */
};

enum merge_care merge_choose_care(const struct merge_sight *sight);

enum merge_delete {
    MERGE_DELETE_QUIET,    /* delete the row */
    MERGE_DELETE_CONFLICT, /* delete the row; its unsent values go to the ledger */
    MERGE_DELETE_RESTORE,  /* keep the row: queue it as a new record, under the same external id */
};

/* A record deleted in Salesforce, whose row here may have changes that were not sent. Deleting wins
 * unless the mapping says otherwise. */
enum merge_delete merge_deleted(bool has_unsent_changes, bool update_wins);

#endif
