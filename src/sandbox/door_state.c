#include "sandbox/door_state.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/bulk_store.h"
#include "sandbox/event_log.h"
#include "sandbox/events.h"
#include "sandbox/query.h"
#include "sandbox/users.h"

enum { MAX_SNAPSHOTS = 10 };

/* A copy of the database in memory. */
struct snapshot {
    char *name;
    sqlite3 *database;
    int64_t clock_offset_s;
    int64_t api_used;
};

struct door_state {
    struct snapshot list[MAX_SNAPSHOTS];
    size_t count;
};

struct door_state *door_state_new(void)
{
    return memory_alloc(sizeof(struct door_state));
}

void door_state_free(struct door_state *state)
{
    if (state == NULL)
        return;
    for (size_t i = 0; i < state->count; i++) {
        sqlite3_close(state->list[i].database);
        free(state->list[i].name);
    }
    free(state);
}

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

static bool copy(sqlite3 *to, sqlite3 *from)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");

    if (backup == NULL)
        return false;
    sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK;
}

/* The name in the body ("default" where there is none); NULL after refusing. */
static const char *read_name(struct call *call)
{
    const json_t *body = call->request->body_bytes > 0 ? call_body(call) : NULL;
    const char *name = json_string_value(json_object_get(body, "name"));

    if (body == NULL && call->request->body_bytes > 0)
        return NULL;
    return name != NULL ? name : "default";
}

static struct snapshot *find_snapshot(struct door_state *state, const char *name)
{
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->list[i].name, name) == 0)
            return &state->list[i];
    return NULL;
}

static struct snapshot *add_snapshot(struct door_state *state, const char *name)
{
    if (state->count == MAX_SNAPSHOTS)
        return NULL;
    struct snapshot *snapshot = &state->list[state->count];
    if (sqlite3_open(":memory:", &snapshot->database) != SQLITE_OK) {
        sqlite3_close(snapshot->database);
        return NULL;
    }
    snapshot->name = memory_strdup(name);
    state->count++;
    return snapshot;
}

void door_state_snapshot(struct call *call)
{
    struct org *org = call->org;
    const char *name = read_name(call);
    struct error err = {0};
    struct snapshot *snapshot = name != NULL ? find_snapshot(org->snapshots, name) : NULL;

    if (name == NULL)
        return;
    if (snapshot == NULL)
        snapshot = add_snapshot(org->snapshots, name);
    if (snapshot == NULL || !bulk_store_save_changed(org, &err) ||
        !copy(snapshot->database, store_database(org->store))) {
        refuse(call, "no snapshot was taken: there are at most 10, and each needs memory");
        return;
    }
    snapshot->clock_offset_s = org->clock_offset_s;
    snapshot->api_used = org->api_used;
    call_json(call, 200, json_pack("{s:b}", "done", 1));
}

/* Objects defined since the snapshot stay, and are empty. */
static bool restore(struct org *org, const struct snapshot *snapshot, struct error *err)
{
    json_t *nothing = json_array();

    query_forget_cursors(org->cursors, org->store);
    if (!copy(store_database(org->store), snapshot->database)) {
        json_decref(nothing);
        return error_set(err, ERROR_BUG, "%s", sqlite3_errmsg(store_database(org->store)));
    }
    org->clock_offset_s = snapshot->clock_offset_s;
    org->api_used = snapshot->api_used;
    bool is_restored = org_define(org, nothing, false, err) && users_load(org, err) &&
                       events_reset(org, err) && event_log_reload(events_log(org->events), err) &&
                       bulk_store_load(org, err);
    json_decref(nothing);
    return is_restored;
}

void door_state_restore(struct call *call)
{
    const char *name = read_name(call);
    const struct snapshot *snapshot =
        name != NULL ? find_snapshot(call->org->snapshots, name) : NULL;
    struct error err = {0};

    if (name == NULL)
        return;
    if (snapshot == NULL)
        refuse(call, "there is no snapshot of that name");
    else if (restore(call->org, snapshot, &err))
        call_json(call, 200, json_pack("{s:b}", "done", 1));
    else
        call_failed(call, &err);
}
