#include "sync/fold.h"

#include <stdint.h>
#include <stdlib.h>

/* An entry's place, sorted so that a record's entries stand together in log order. */
struct place {
    uint32_t mapping;
    int32_t record_id;
    size_t index;
};

struct folding {
    const struct order_entry *entries;
    struct fold *folds;
    size_t carrier; /* what the next entry of the record may go with, plus one; 0: none */
    size_t last;    /* the last that goes with it, plus one */
    size_t failed;  /* the record's FAILED INSERT, plus one */
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;

    if (a->mapping != b->mapping)
        return a->mapping < b->mapping ? -1 : 1;
    if (a->record_id != b->record_id)
        return a->record_id < b->record_id ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void begin_carrier(struct folding *folding, size_t index)
{
    folding->carrier = index + 1;
    folding->last = index + 1;
    folding->failed = 0;
}

static void fold_into_carrier(struct folding *folding, size_t index)
{
    folding->folds[index].fate = FOLD_INTO;
    folding->folds[index].carrier = folding->carrier - 1;
    folding->folds[folding->last - 1].next = index + 1;
    folding->last = index + 1;
}

/* All that goes with the carrier is over, itself included. */
static void void_carrier(struct folding *folding)
{
    for (size_t at = folding->carrier; at != 0; at = folding->folds[at - 1].next)
        folding->folds[at - 1].fate = FOLD_OVER;
    folding->carrier = 0;
}

static void fold_update(struct folding *folding, size_t index)
{
    bool is_bound = folding->entries[index].is_bound;

    if (folding->carrier == 0 && folding->failed != 0 && !is_bound) {
        size_t insert = folding->failed - 1;

        folding->folds[insert].is_revived = true;
        begin_carrier(folding, insert);
    }
    if (folding->carrier != 0)
        fold_into_carrier(folding, index);
    else
        begin_carrier(folding, index);
}

static void fold_delete(struct folding *folding, size_t index)
{
    size_t carrier = folding->carrier;

    if (carrier != 0 && folding->folds[carrier - 1].is_revived)
        return; /* the INSERT goes first, for all that is known it may succeed now */
    if (carrier == 0)
        return;
    void_carrier(folding);
    if (folding->entries[carrier - 1].action == DELIVERY_INSERT)
        folding->folds[index].fate = FOLD_OVER;
}

static void fold_new(struct folding *folding, size_t index)
{
    const struct order_entry *entry = &folding->entries[index];

    if (entry->is_held || entry->was_sent) {
        folding->carrier = 0;
        return;
    }
    switch (entry->action) {
    case DELIVERY_INSERT: begin_carrier(folding, index); break;
    case DELIVERY_UPDATE: fold_update(folding, index); break;
    case DELIVERY_DELETE:
        fold_delete(folding, index);
        folding->carrier = 0;
        break;
    }
}

static void fold_entry(struct folding *folding, size_t index)
{
    const struct order_entry *entry = &folding->entries[index];

    if (entry->state == DELIVERY_NEW) {
        fold_new(folding, index);
    } else if (entry->state == DELIVERY_PENDING) {
        folding->carrier = 0;
        folding->failed = 0;
    } else if (entry->state == DELIVERY_FAILED && entry->action == DELIVERY_INSERT) {
        folding->carrier = 0;
        folding->failed = index + 1;
    }
}

struct fold *fold_merged(const struct order_entry *entries, size_t count, struct arena *arena)
{
    struct place *places = arena_array(arena, struct place, count);
    struct folding folding = {.entries = entries, .folds = arena_array(arena, struct fold, count)};

    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){entries[i].mapping, entries[i].record_id, i};
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (places[i].mapping != places[i - 1].mapping ||
                      places[i].record_id != places[i - 1].record_id))
            folding.carrier = folding.failed = 0;
        fold_entry(&folding, places[i].index);
    }
    return folding.folds;
}
