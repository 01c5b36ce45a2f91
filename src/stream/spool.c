/*
 * The invariants of a spool:
 *
 *  1. A file holds, in wire form, the rows of one transaction in the order of the log, and before
 *     each the Relation it needs as it was when the row was read: later announcements, by this
 *     transaction or others, change nothing.
 *  2. A subtransaction's rows, and those of all that it contains, are the end of the file for as
 *     long as it is open. So rolling it back cuts the file where its first row began.
 *  3. told is what the sink believes of every table. A row is handed on only if it agrees.
 */
#include "stream/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

enum {
    CHUNK_BYTES = 64 * 1024,
};

static const size_t MAX_RELATION_BYTES = (size_t)16 << 20;

/* Definitions of tables by id. */
struct definition {
    uint32_t id;
    uint64_t fingerprint;
};

struct definitions {
    struct definition *items; /* by ascending id */
    size_t count;
    size_t room;
};

/* Where a subtransaction began. */
struct mark {
    uint64_t at;
    uint32_t subxid;
};

/* One transaction in progress. */
struct waiting {
    struct waiting *next;
    uint32_t xid;
    FILE *file;
    uint64_t size_bytes;
    struct definitions written; /* to the file */
    struct mark *marks;         /* by ascending subxid, which is most often also by place */
    size_t mark_count;
    size_t mark_room;
};

struct spool {
    struct waiting *waiting;
    struct waiting *block;  /* the one whose block is open, or NULL */
    struct waiting *replay; /* the one that is being replayed, or NULL */
    struct change_reader *replay_reader;
    uint64_t left_bytes; /* of its file, not fed yet */
    bool is_commit_fed;
    struct buf scratch; /* Begin, Commit and Relations in wire form */
    struct definitions told;
    struct event held; /* waits until the sink was told of its tables */
    bool has_held;
    bool is_open; /* a transaction that was not streamed */
    bool is_used; /* before the first block the sink hears all that the reader hears */
};

struct spool *spool_new(void)
{
    struct spool *spool = memory_alloc(sizeof(*spool));

    buf_init(&spool->scratch, MAX_RELATION_BYTES);
    spool->replay_reader = change_reader_new();
    return spool;
}

static void free_waiting(struct waiting *waiting)
{
    if (waiting->file != NULL)
        fclose(waiting->file);
    free(waiting->written.items);
    free(waiting->marks);
    free(waiting);
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    while (spool->waiting != NULL) {
        struct waiting *first = spool->waiting;

        spool->waiting = first->next;
        free_waiting(first);
    }
    change_reader_free(spool->replay_reader);
    buf_done(&spool->scratch);
    free(spool->told.items);
    free(spool);
}

struct spool_load spool_load(const struct spool *spool)
{
    struct spool_load load = {0};

    for (const struct waiting *at = spool->waiting; at != NULL; at = at->next) {
        load.transaction_count++;
        load.size_bytes += at->size_bytes;
    }
    return load;
}

/* Where the relation is, or would be inserted. */
static size_t find_place(const struct definitions *definitions, uint32_t id)
{
    size_t low = 0;
    size_t high = definitions->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (definitions->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_defined(const struct definitions *definitions, const struct relation *relation)
{
    size_t place = find_place(definitions, relation->id);

    return place < definitions->count && definitions->items[place].id == relation->id &&
           definitions->items[place].fingerprint == relation->fingerprint;
}

static void define(struct definitions *definitions, const struct relation *relation)
{
    if (definitions->count == definitions->room) {
        definitions->room = definitions->room == 0 ? 16 : definitions->room * 2;
        definitions->items =
            memory_realloc(definitions->items, definitions->room * sizeof(*definitions->items));
    }

    size_t place = find_place(definitions, relation->id);
    struct definition *items = definitions->items;
    if (place == definitions->count || items[place].id != relation->id) {
        memmove(items + place + 1, items + place, (definitions->count - place) * sizeof(*items));
        definitions->count++;
    }
    items[place] = (struct definition){relation->id, relation->fingerprint};
}

static struct waiting *find_waiting(const struct spool *spool, uint32_t xid)
{
    struct waiting *at = spool->waiting;

    while (at != NULL && at->xid != xid)
        at = at->next;
    return at;
}

static void drop_waiting(struct spool *spool, struct waiting *waiting)
{
    struct waiting **at = &spool->waiting;

    while (*at != waiting)
        at = &(*at)->next;
    *at = waiting->next;
    free_waiting(waiting);
}

static bool fail_file(struct error *err, const char *what)
{
    return error_set(err, ERROR_RETRY,
                     "cannot %s the temporary file of a transaction in progress: %s; it is in "
                     "TMPDIR, or else in /var/tmp",
                     what, strerror(errno));
}

static FILE *open_file(struct error *err)
{
    const char *folder = getenv("TMPDIR");
    struct arena *arena = arena_new();
    char *path = arena_printf(arena, "%s/pgforce-spool-XXXXXX",
                              folder != NULL && folder[0] != '\0' ? folder : "/var/tmp");
    int fd = mkostemp(path, O_CLOEXEC);
    FILE *file = fd >= 0 && unlink(path) == 0 ? fdopen(fd, "w+") : NULL;

    if (file == NULL) {
        fail_file(err, "make");
        if (fd >= 0)
            close(fd);
    } else {
        setvbuf(file, NULL, _IOFBF, CHUNK_BYTES);
    }
    arena_free(arena);
    return file;
}

static bool start_block(struct spool *spool, const struct stream_block *block, struct error *err)
{
    struct waiting *waiting = find_waiting(spool, block->xid);

    if (waiting != NULL && block->is_first) {
        drop_waiting(spool, waiting);
        waiting = NULL;
    }
    if (waiting == NULL && !block->is_first)
        return error_set(err, ERROR_BUG, "the first block of transaction %u is missing",
                         block->xid);
    if (waiting == NULL) {
        FILE *file = open_file(err);
        if (file == NULL)
            return false;
        waiting = memory_alloc(sizeof(*waiting));
        *waiting = (struct waiting){.next = spool->waiting, .xid = block->xid, .file = file};
        spool->waiting = waiting;
    }
    spool->block = waiting;
    spool->is_used = true;
    return true;
}

static bool append(struct waiting *waiting, const char *wire, size_t size_bytes, struct error *err)
{
    if (fwrite(wire, 1, size_bytes, waiting->file) != size_bytes)
        return fail_file(err, "write");
    waiting->size_bytes += size_bytes;
    return true;
}

static bool append_relation(struct spool *spool, const struct relation *relation, struct error *err)
{
    if (is_defined(&spool->block->written, relation))
        return true;
    buf_clear(&spool->scratch);
    change_pack(&spool->scratch, &(struct event){.kind = EVENT_RELATION, .relation = relation});
    if (buf_is_full(&spool->scratch))
        return error_set(err, ERROR_BUG, "a Relation of over %zu bytes", MAX_RELATION_BYTES);
    define(&spool->block->written, relation);
    return append(spool->block, spool->scratch.data, spool->scratch.size_bytes, err);
}

/* The place of the subtransaction's mark, or where it would be inserted. */
static size_t find_mark(const struct waiting *waiting, uint32_t subxid)
{
    size_t low = 0;
    size_t high = waiting->mark_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (waiting->marks[middle].subxid < subxid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_marked(const struct waiting *waiting, size_t place, uint32_t subxid)
{
    return place < waiting->mark_count && waiting->marks[place].subxid == subxid;
}

static void mark_subtransaction(struct waiting *waiting, uint32_t subxid)
{
    size_t place = find_mark(waiting, subxid);

    if (subxid == 0 || subxid == waiting->xid || is_marked(waiting, place, subxid))
        return;
    if (waiting->mark_count == waiting->mark_room) {
        waiting->mark_room = waiting->mark_room == 0 ? 16 : waiting->mark_room * 2;
        waiting->marks =
            memory_realloc(waiting->marks, waiting->mark_room * sizeof(*waiting->marks));
    }
    memmove(waiting->marks + place + 1, waiting->marks + place,
            (waiting->mark_count - place) * sizeof(*waiting->marks));
    waiting->marks[place] = (struct mark){waiting->size_bytes, subxid};
    waiting->mark_count++;
}

/* The tables that an event refers to. */
static const struct relation *relation_of(const struct event *event, size_t i)
{
    if (event->kind == EVENT_ROW && i == 0)
        return event->row.relation;
    if (event->kind == EVENT_TRUNCATE && i < event->truncate.relation_count)
        return event->truncate.relations[i];
    return NULL;
}

static bool store(struct spool *spool, const struct event *event, struct error *err)
{
    const struct relation *relation;

    mark_subtransaction(spool->block, event->subxid);
    for (size_t i = 0; (relation = relation_of(event, i)) != NULL; i++)
        if (!append_relation(spool, relation, err))
            return false;
    return append(spool->block, event->wire, event->wire_bytes, err);
}

/*
 * What follows is written over. Subtransactions inside the one that is rolled back are so as well;
 * those whose mark stays, as it is not among the last, are rolled back before the next row comes.
 */
static bool cut(struct waiting *waiting, uint64_t at, struct error *err)
{
    waiting->size_bytes = at;
    while (waiting->mark_count > 0 && waiting->marks[waiting->mark_count - 1].at >= at)
        waiting->mark_count--;
    waiting->written.count = 0;
    return fseeko(waiting->file, (off_t)at, SEEK_SET) == 0 || fail_file(err, "write");
}

/* A subtransaction of which no row was sent has no mark. */
static bool roll_back(struct spool *spool, const struct stream_block *block, struct error *err)
{
    struct waiting *waiting = find_waiting(spool, block->xid);

    if (waiting == NULL)
        return true;
    if (block->subxid == block->xid) {
        drop_waiting(spool, waiting);
        return true;
    }

    size_t place = find_mark(waiting, block->subxid);
    if (!is_marked(waiting, place, block->subxid) ||
        waiting->marks[place].at >= waiting->size_bytes)
        return true;
    return cut(waiting, waiting->marks[place].at, err);
}

static bool feed_boundary(struct spool *spool, enum event_kind kind,
                          const struct transaction *transaction, struct error *err)
{
    buf_clear(&spool->scratch);
    change_pack(&spool->scratch, &(struct event){.kind = kind, .transaction = transaction});
    return change_reader_feed(spool->replay_reader, spool->scratch.data, spool->scratch.size_bytes,
                              err);
}

static bool start_replay(struct spool *spool, const struct transaction *transaction,
                         struct error *err)
{
    struct waiting *waiting = find_waiting(spool, transaction->xid);

    if (waiting == NULL)
        return error_set(err, ERROR_BUG, "transaction %u commits, but nothing of it was sent",
                         transaction->xid);
    if (waiting->size_bytes == 0) { /* all of it was rolled back: like any empty transaction */
        drop_waiting(spool, waiting);
        return true;
    }
    if (fseeko(waiting->file, 0, SEEK_SET) != 0)
        return fail_file(err, "write");
    spool->replay = waiting;
    spool->left_bytes = waiting->size_bytes;
    spool->is_commit_fed = false;
    return feed_boundary(spool, EVENT_BEGIN, transaction, err);
}

/* The next piece of the file or, after the last, the Commit. */
static bool feed_replay(struct spool *spool, struct error *err)
{
    char chunk[CHUNK_BYTES];
    size_t wanted = spool->left_bytes < CHUNK_BYTES ? (size_t)spool->left_bytes : CHUNK_BYTES;

    if (wanted == 0) {
        spool->is_commit_fed = true;
        return feed_boundary(spool, EVENT_COMMIT, spool->held.transaction, err);
    }
    if (fread(chunk, 1, wanted, spool->replay->file) != wanted)
        return fail_file(err, "read");
    spool->left_bytes -= wanted;
    return change_reader_feed(spool->replay_reader, chunk, wanted, err);
}

static enum change_result next_replayed(struct spool *spool, struct event *event, struct error *err)
{
    for (;;) {
        enum change_result result = change_reader_next(spool->replay_reader, event, err);

        if (result == CHANGE_ERROR)
            return result;
        if (result == CHANGE_NEED && spool->is_commit_fed) {
            error_set(err, ERROR_BUG,
                      "the temporary file of a transaction is not what was written");
            return CHANGE_ERROR;
        }
        if (result == CHANGE_NEED && !feed_replay(spool, err))
            return CHANGE_ERROR;
        if (result == CHANGE_NEED)
            continue;
        if (event->kind == EVENT_RELATION && is_defined(&spool->told, event->relation))
            continue;
        if (event->kind == EVENT_RELATION)
            define(&spool->told, event->relation);
        if (event->kind == EVENT_COMMIT) {
            drop_waiting(spool, spool->replay);
            spool->replay = NULL;
        }
        event->subxid = 0;
        return CHANGE_EVENT;
    }
}

/* A held event, or first a table of it that the sink knows otherwise or not at all. */
static void release(struct spool *spool, struct event *event)
{
    const struct relation *relation;

    for (size_t i = 0; (relation = relation_of(&spool->held, i)) != NULL; i++) {
        if (is_defined(&spool->told, relation))
            continue;
        define(&spool->told, relation);
        *event = (struct event){
            .kind = EVENT_RELATION, .relation = relation, .transaction = spool->held.transaction};
        return;
    }
    *event = spool->held;
    spool->has_held = false;
}

/* What becomes of an event that was read. */
enum fate { FATE_PASS, FATE_HOLD, FATE_SWALLOW, FATE_ERROR };

static enum fate swallow(bool is_good)
{
    return is_good ? FATE_SWALLOW : FATE_ERROR;
}

static enum fate judge_in_block(struct spool *spool, const struct event *event, struct error *err)
{
    switch (event->kind) {
    case EVENT_STREAM_STOP: spool->block = NULL; return FATE_SWALLOW;
    case EVENT_RELATION:
        if (!event->relation->is_withheld)
            return FATE_SWALLOW;
        define(&spool->told, event->relation);
        return FATE_PASS;
    case EVENT_MESSAGE:
        return event->message.is_transactional ? swallow(store(spool, event, err)) : FATE_PASS;
    case EVENT_ROW:
    case EVENT_TRUNCATE: return swallow(store(spool, event, err));
    default: return FATE_PASS;
    }
}

static enum fate judge(struct spool *spool, const struct event *event, struct error *err)
{
    if (spool->block != NULL)
        return judge_in_block(spool, event, err);
    switch (event->kind) {
    case EVENT_STREAM_START: return swallow(start_block(spool, &event->block, err));
    case EVENT_STREAM_ABORT: return swallow(roll_back(spool, &event->block, err));
    case EVENT_BEGIN: spool->is_open = true; return FATE_PASS;
    case EVENT_COMMIT:
        if (!spool->is_open)
            return swallow(start_replay(spool, event->transaction, err));
        spool->is_open = false;
        return FATE_PASS;
    case EVENT_RELATION: define(&spool->told, event->relation); return FATE_PASS;
    case EVENT_ROW:
    case EVENT_TRUNCATE: return spool->is_used ? FATE_HOLD : FATE_PASS;
    default: return FATE_PASS;
    }
}

enum change_result spool_next(struct spool *spool, struct change_reader *reader,
                              struct event *event, struct error *err)
{
    for (;;) {
        if (spool->replay != NULL)
            return next_replayed(spool, event, err);
        if (spool->has_held) {
            release(spool, event);
            return CHANGE_EVENT;
        }

        enum change_result result = change_reader_next(reader, event, err);
        if (result != CHANGE_EVENT)
            return result;
        switch (judge(spool, event, err)) {
        case FATE_PASS: return CHANGE_EVENT;
        case FATE_ERROR: return CHANGE_ERROR;
        case FATE_SWALLOW: break;
        case FATE_HOLD: spool->has_held = true; break;
        }
        spool->held = *event; /* also for the Commit of what is now replayed */
    }
}
