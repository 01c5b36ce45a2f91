#include "sync/unit.h"

#include <stdlib.h>
#include <string.h>

/* ---- which units go ---- */

enum touch_kind { TOUCH_RECORD, TOUCH_KEY };

/* An entry's claim on a name: its record, its external id, or what it refers to. */
struct touch {
    uint32_t mapping;
    enum touch_kind kind;
    uint64_t name;
    size_t index;
    bool is_reference;
};

/* One transaction's place among the sorted indexes. */
struct group {
    size_t first;
    size_t count;
    bool is_unit;
    bool is_blocked;
    size_t refused_entry;
    size_t failed_insert;
};

struct choice {
    const struct unit_log *log;
    struct arena *arena;
    size_t *indexes; /* of what is unsettled in a transaction, by group */
    size_t index_count;
    struct group *groups;
    size_t group_count;
    size_t *group_of; /* by entry, plus one; 0: by itself */
    struct touch *touches;
    size_t touch_count;
};

static bool is_unsettled(const struct order_entry *entry)
{
    return entry->state == DELIVERY_NEW || entry->state == DELIVERY_PENDING;
}

static bool is_failed_insert(const struct order_entry *entry)
{
    return entry->state == DELIVERY_FAILED && entry->action == DELIVERY_INSERT;
}

static int compare_numbers(uint64_t left, uint64_t right)
{
    return left < right ? -1 : left > right;
}

static int compare_commits(const void *left, const void *right, void *commits)
{
    const uint64_t *of = commits;
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;

    return of[a] != of[b] ? compare_numbers(of[a], of[b]) : compare_numbers(a, b);
}

static void make_groups(struct choice *choice)
{
    const struct unit_log *log = choice->log;

    for (size_t i = 0; i < log->count; i++)
        if (log->commits[i] != 0 && is_unsettled(&log->entries[i]))
            choice->indexes[choice->index_count++] = i;
    qsort_r(choice->indexes, choice->index_count, sizeof(*choice->indexes), compare_commits,
            (void *)(uintptr_t)log->commits);
    for (size_t at = 0; at < choice->index_count; at++) {
        size_t index = choice->indexes[at];
        bool is_new = at == 0 || log->commits[index] != log->commits[choice->indexes[at - 1]];

        if (is_new)
            choice->groups[choice->group_count++] = (struct group){.first = at};
        struct group *group = &choice->groups[choice->group_count - 1];
        group->count++;
        group->is_unit = group->count > 1;
        group->is_blocked = group->is_blocked || log->entries[index].is_held ||
                            log->entries[index].state == DELIVERY_PENDING ||
                            (log->is_cut && index + 1 == log->count);
        choice->group_of[index] = choice->group_count;
    }
}

static struct unit unit_of(const struct choice *choice, const struct group *group)
{
    return (struct unit){.entries = choice->indexes + group->first,
                         .count = group->count,
                         .refused_entry = group->refused_entry,
                         .failed_insert = group->failed_insert};
}

static void add_touch(struct choice *choice, size_t index, struct touch touch)
{
    touch.index = index;
    choice->touches[choice->touch_count++] = touch;
}

static void add_touches(struct choice *choice, size_t index)
{
    const struct order_entry *entry = &choice->log->entries[index];

    add_touch(choice, index,
              (struct touch){entry->mapping, TOUCH_RECORD, (uint32_t)entry->record_id, 0, false});
    if (entry->key_hash != 0 && is_unsettled(entry))
        add_touch(choice, index,
                  (struct touch){entry->mapping, TOUCH_KEY, entry->key_hash, 0, false});
    for (size_t i = 0; i < entry->freed_key_count && is_unsettled(entry); i++)
        add_touch(choice, index,
                  (struct touch){entry->mapping, TOUCH_KEY, entry->freed_keys[i], 0, false});
    for (size_t i = 0; i < entry->reference_count && is_unsettled(entry); i++) {
        const struct order_reference *to = &entry->references[i];
        bool is_record = to->record_id != 0;

        add_touch(choice, index,
                  (struct touch){to->mapping, is_record ? TOUCH_RECORD : TOUCH_KEY,
                                 is_record ? (uint32_t)to->record_id : to->key_hash, 0, true});
    }
}

static int compare_names(const struct touch *a, const struct touch *b)
{
    if (a->mapping != b->mapping)
        return compare_numbers(a->mapping, b->mapping);
    if (a->kind != b->kind)
        return compare_numbers(a->kind, b->kind);
    return compare_numbers(a->name, b->name);
}

static int compare_touches(const void *left, const void *right)
{
    const struct touch *a = left;
    const struct touch *b = right;
    int order = compare_names(a, b);

    return order != 0 ? order : compare_numbers(a->index, b->index);
}

static void list_touches(struct choice *choice)
{
    const struct unit_log *log = choice->log;
    size_t room = 0;

    for (size_t i = 0; i < log->count; i++)
        room += 2 + log->entries[i].freed_key_count + log->entries[i].reference_count;
    choice->touches = arena_array(choice->arena, struct touch, room);
    for (size_t i = 0; i < log->count; i++)
        if (is_unsettled(&log->entries[i]) || is_failed_insert(&log->entries[i]))
            add_touches(choice, i);
    qsort(choice->touches, choice->touch_count, sizeof(*choice->touches), compare_touches);
}

/* What stands before an entry among those of one name. Indexes are plus one. */
struct before {
    size_t owner;  /* the latest that changes it, and of another group than the one before it */
    size_t other;  /* the latest of another group than the owner's */
    size_t insert; /* the latest unsettled INSERT */
    size_t failed; /* the latest INSERT, if it FAILED */
};

static bool is_same_group(const struct choice *choice, size_t a, size_t b)
{
    return a == b || (choice->group_of[a] != 0 && choice->group_of[a] == choice->group_of[b]);
}

static void judge_touch(struct choice *choice, const struct touch *touch,
                        const struct before *before)
{
    const struct order_entry *entry = &choice->log->entries[touch->index];
    size_t group_number = choice->group_of[touch->index];

    if (group_number == 0)
        return;
    struct group *group = &choice->groups[group_number - 1];
    size_t blocker = touch->is_reference ? before->insert : before->owner;
    bool is_foreign = blocker != 0 && !is_same_group(choice, blocker - 1, touch->index);
    bool has_other = !touch->is_reference && before->other != 0 &&
                     !is_same_group(choice, before->other - 1, touch->index);

    group->is_blocked = group->is_blocked || is_foreign || has_other;
    if (!touch->is_reference && before->failed != 0 && !entry->is_bound &&
        entry->action != DELIVERY_INSERT && group->failed_insert == 0) {
        group->refused_entry = touch->index + 1;
        group->failed_insert = before->failed;
    }
}

static void note_touch(const struct choice *choice, const struct touch *touch,
                       struct before *before)
{
    const struct order_entry *entry = &choice->log->entries[touch->index];

    if (touch->is_reference)
        return;
    if (is_failed_insert(entry)) {
        before->failed = touch->index + 1;
        return;
    }
    if (before->owner != 0 && !is_same_group(choice, before->owner - 1, touch->index))
        before->other = before->owner;
    before->owner = touch->index + 1;
    if (entry->action == DELIVERY_INSERT) {
        before->insert = touch->index + 1;
        before->failed = 0;
    }
}

static void judge_touches(struct choice *choice)
{
    struct before before = {0};

    for (size_t i = 0; i < choice->touch_count; i++) {
        if (i > 0 && compare_names(&choice->touches[i - 1], &choice->touches[i]) != 0)
            before = (struct before){0};
        judge_touch(choice, &choice->touches[i], &before);
        note_touch(choice, &choice->touches[i], &before);
    }
}

static struct choice begin_choice(const struct unit_log *log, struct arena *arena)
{
    return (struct choice){
        .log = log,
        .arena = arena,
        .indexes = arena_array(arena, size_t, log->count),
        .groups = arena_array(arena, struct group, log->count),
        .group_of = arena_array(arena, size_t, log->count),
    };
}

struct unit_plan unit_choose(const struct unit_log *log, struct arena *arena)
{
    struct choice choice = begin_choice(log, arena);
    struct unit *units = arena_array(arena, struct unit, log->count);
    struct unit *misfits = arena_array(arena, struct unit, log->count);
    bool *are_held = arena_array(arena, bool, log->count);
    struct unit_plan plan = {.units = units, .misfits = misfits, .are_held = are_held};

    make_groups(&choice);
    list_touches(&choice);
    judge_touches(&choice);
    for (size_t i = 0; i < choice.group_count; i++) {
        const struct group *group = &choice.groups[i];
        struct unit unit = unit_of(&choice, group);
        struct unit_steps steps;

        if (!group->is_unit)
            continue;
        if (!unit_pack(log->entries, &unit, arena, &steps)) {
            misfits[plan.misfit_count++] = unit;
            continue;
        }
        for (size_t j = 0; j < unit.count; j++)
            are_held[unit.entries[j]] = true;
        if (!group->is_blocked)
            units[plan.count++] = unit;
    }
    return plan;
}

/* ---- in what steps ---- */

static bool is_same_record(const struct order_entry *a, const struct order_entry *b)
{
    return a->mapping == b->mapping && (a->record_id == b->record_id || order_shares_key(a, b));
}

bool unit_refers_to(const struct order_entry *entry, const struct order_entry *insert)
{
    if (insert->action != DELIVERY_INSERT)
        return false;
    for (size_t i = 0; i < entry->reference_count; i++) {
        const struct order_reference *to = &entry->references[i];

        if (to->mapping == insert->mapping &&
            (to->record_id != 0 ? to->record_id == insert->record_id
                                : to->key_hash == insert->key_hash))
            return true;
    }
    return false;
}

/* Inserts, updates, deletes; parents first, when deleting last; then the log's order. */
static int compare_places(const void *left, const void *right, void *context)
{
    const struct order_entry *entries = context;
    size_t i = *(const size_t *)left;
    size_t j = *(const size_t *)right;
    const struct order_entry *a = &entries[i];
    const struct order_entry *b = &entries[j];

    if (a->action != b->action)
        return compare_numbers(a->action, b->action);
    if (a->rank != b->rank)
        return a->action == DELIVERY_DELETE ? compare_numbers(b->rank, a->rank)
                                            : compare_numbers(a->rank, b->rank);
    if (a->mapping != b->mapping)
        return compare_numbers(a->mapping, b->mapping);
    return compare_numbers(i, j);
}

static bool keeps_order(const struct order_entry *entries, const size_t *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (places[i] > places[j] && is_same_record(&entries[places[i]], &entries[places[j]]))
                return false;
    return true;
}

/* An INSERT that is referred to must stand before. */
static bool keeps_references(const struct order_entry *entries, const size_t *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count && entries[places[i]].reference_count > 0; j++)
            if (unit_refers_to(&entries[places[i]], &entries[places[j]]))
                return false;
    return true;
}

static const size_t *place_entries(const struct order_entry *entries, const struct unit *unit,
                                   struct arena *arena)
{
    size_t *places = arena_array(arena, size_t, unit->count);

    memcpy(places, unit->entries, unit->count * sizeof(*places));
    qsort_r(places, unit->count, sizeof(*places), compare_places, (void *)(uintptr_t)entries);
    return keeps_order(entries, places, unit->count) ? places : unit->entries;
}

static bool joins(const struct order_entry *entries, const struct unit_step *step, size_t index)
{
    const struct order_entry *entry = &entries[index];
    const struct order_entry *first = &entries[step->entries[0]];

    if (step->count == UNIT_STEP_RECORDS || entry->action != first->action ||
        entry->mapping != first->mapping)
        return false;
    for (size_t i = 0; i < step->count; i++)
        if (is_same_record(entry, &entries[step->entries[i]]) ||
            unit_refers_to(entry, &entries[step->entries[i]]))
            return false;
    return true;
}

bool unit_pack(const struct order_entry *entries, const struct unit *unit, struct arena *arena,
               struct unit_steps *out)
{
    bool is_small = unit->count <= UNIT_STEPS_MAX;
    size_t collections = 0;

    *out = (struct unit_steps){0};
    if (unit->count > (size_t)UNIT_COLLECTIONS_MAX * UNIT_STEP_RECORDS + UNIT_STEPS_MAX)
        return false;
    const size_t *places = place_entries(entries, unit, arena);
    if (!keeps_references(entries, places, unit->count))
        return false;
    out->items = arena_array(arena, struct unit_step, UNIT_STEPS_MAX);
    for (size_t i = 0; i < unit->count; i++) {
        struct unit_step *last = out->count > 0 ? &out->items[out->count - 1] : NULL;

        if (last != NULL && !is_small && joins(entries, last, places[i])) {
            collections += last->count++ == 1;
            continue;
        }
        if (out->count == UNIT_STEPS_MAX)
            return false;
        out->items[out->count++] = (struct unit_step){.entries = places + i, .count = 1};
    }
    return collections <= UNIT_COLLECTIONS_MAX;
}

/* ---- one outcome for all ---- */

static void give_all(struct unit_part *parts, size_t count, struct delivery_verdict verdict)
{
    verdict.binds_id = false;
    verdict.is_gone = false;
    for (size_t i = 0; i < count; i++)
        parts[i].verdict = verdict;
}

/* The first part of its own with that state, or count. */
static size_t find_own(const struct unit_part *parts, size_t count, enum delivery_state state)
{
    for (size_t i = 0; i < count; i++)
        if (!parts[i].is_rolled_back && !parts[i].is_follower && parts[i].verdict.state == state)
            return i;
    return count;
}

/* Refused because our own key is taken: no more is known than that the record is there. */
static size_t find_taken(const struct unit_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!parts[i].is_rolled_back && parts[i].action == DELIVERY_INSERT &&
            parts[i].verdict.state == DELIVERY_SUCCESS)
            return i;
    return count;
}

size_t unit_agree(struct unit_part *parts, size_t count)
{
    static const struct delivery_verdict read_back = {
        .todo = DELIVERY_READ_BACK, .state = DELIVERY_PENDING, .phase = DELIVERY_IN_DOUBT};
    static const struct delivery_verdict failed = {.todo = DELIVERY_SETTLE,
                                                   .state = DELIVERY_FAILED};
    static const struct delivery_verdict again = {.todo = DELIVERY_RETRY, .state = DELIVERY_NEW};
    size_t culprit = find_own(parts, count, DELIVERY_FAILED);

    /* Taken, though the unit was never sent before: somebody else's. */
    if (culprit == count && find_own(parts, count, DELIVERY_PENDING) < count &&
        find_own(parts, count, DELIVERY_PENDING) != find_taken(parts, count))
        culprit = find_own(parts, count, DELIVERY_PENDING);
    if (culprit < count) {
        give_all(parts, count, failed);
        return culprit;
    }
    culprit = find_taken(parts, count);
    if (culprit < count) {
        give_all(parts, count, read_back);
        return culprit;
    }
    culprit = find_own(parts, count, DELIVERY_NEW);
    struct delivery_verdict others = culprit < count ? parts[culprit].verdict : again;
    for (size_t i = 0; i < count; i++)
        if (parts[i].is_rolled_back || parts[i].verdict.state != DELIVERY_SUCCESS)
            parts[i].verdict = others;
    return culprit < count ? culprit : find_own(parts, count, DELIVERY_SUCCESS);
}

static bool is_insert_done(const struct unit_part *part)
{
    return part->action == DELIVERY_INSERT && part->verdict.state == DELIVERY_SUCCESS;
}

/* What is seen to be done stays so, unless all wait or go again; what is deleted stays deleted. */
static void join_doubts(struct unit_part *parts, size_t count, struct delivery_verdict verdict)
{
    verdict.binds_id = false;
    verdict.is_gone = false;
    for (size_t i = 0; i < count; i++) {
        bool is_done = parts[i].verdict.state == DELIVERY_SUCCESS && !parts[i].is_follower;
        bool stays = verdict.state == DELIVERY_FAILED ||
                     (verdict.state == DELIVERY_NEW && parts[i].action == DELIVERY_DELETE);

        if (!is_done || !stays)
            parts[i].verdict = verdict;
    }
}

size_t unit_agree_doubts(struct unit_part *parts, size_t count)
{
    static const struct delivery_verdict done = {.todo = DELIVERY_SETTLE,
                                                 .state = DELIVERY_SUCCESS};
    size_t decided = 0;

    for (decided = 0; decided < count && !is_insert_done(&parts[decided]); decided++)
        ;
    if (decided < count) {
        for (size_t i = 0; i < count; i++)
            if (!is_insert_done(&parts[i]))
                parts[i].verdict = done;
        return decided;
    }
    static const enum delivery_state order[] = {DELIVERY_PENDING, DELIVERY_FAILED, DELIVERY_NEW};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        decided = find_own(parts, count, order[i]);
        if (decided < count) {
            join_doubts(parts, count, parts[decided].verdict);
            return decided;
        }
    }
    return 0;
}
