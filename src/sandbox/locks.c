#include "sandbox/locks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { MAX_LOCKS = 1000, MAX_MS = 600000 };

struct lock {
    struct ids_text id;
    int64_t calls_left; /* that will still meet it; -1: as long as its time */
    int64_t until_ms;   /* of the monotonic clock; 0: as long as its calls */
    bool is_met;        /* by the present call */
};

struct locks {
    struct lock list[MAX_LOCKS];
    size_t count;
};

struct locks *locks_new(void)
{
    return memory_alloc(sizeof(struct locks));
}

void locks_free(struct locks *locks)
{
    free(locks);
}

void locks_forget(struct locks *locks)
{
    locks->count = 0;
}

static void drop_ended(struct locks *locks)
{
    size_t kept = 0;

    for (size_t i = 0; i < locks->count; i++) {
        const struct lock *lock = &locks->list[i];
        bool is_late = lock->until_ms != 0 && clock_monotonic_ms() >= lock->until_ms;

        if (lock->calls_left != 0 && !is_late)
            locks->list[kept++] = *lock;
    }
    locks->count = kept;
}

/* ---- meeting one ---- */

static bool concerns(const struct lock *lock, const struct save *save, const struct value *values)
{
    if (save->id != NULL && strcmp(save->id, lock->id.text) == 0)
        return true;
    for (size_t i = 0; values != NULL && i < save->object->field_count; i++)
        if (save->object->fields[i]->reference_count > 0 && values[i].kind == VALUE_TEXT &&
            strcmp(values[i].text, lock->id.text) == 0)
            return true;
    return false;
}

void locks_check(struct save *save, const struct value *values)
{
    struct locks *locks = save->org->locks;

    if (locks->count == 0)
        return;
    drop_ended(locks);
    for (size_t i = 0; i < locks->count; i++) {
        struct lock *lock = &locks->list[i];

        if (!concerns(lock, save, values))
            continue;
        lock->is_met = true;
        errors_add(&save->errors, "UNABLE_TO_LOCK_ROW", "",
                   "unable to obtain exclusive access to this record or 1 records: %s",
                   lock->id.text);
        return;
    }
}

void locks_end_call(struct locks *locks)
{
    for (size_t i = 0; i < locks->count; i++) {
        struct lock *lock = &locks->list[i];

        if (lock->is_met && lock->calls_left > 0)
            lock->calls_left--;
        lock->is_met = false;
    }
}

/* ---- the door ---- */

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

void locks_door_list(struct call *call)
{
    struct locks *locks = call->org->locks;
    json_t *list = json_array();

    drop_ended(locks);
    for (size_t i = 0; i < locks->count; i++) {
        const struct lock *lock = &locks->list[i];
        json_t *shown = json_pack("{s:s}", "id", lock->id.text);

        if (lock->calls_left > 0)
            json_object_set_new(shown, "requests", json_integer(lock->calls_left));
        if (lock->until_ms != 0)
            json_object_set_new(shown, "ms", json_integer(lock->until_ms - clock_monotonic_ms()));
        json_array_append_new(list, shown);
    }
    call_json(call, 200, json_pack("{s:o}", "locks", list));
}

/* NULL, or what is wrong. */
static const char *read_lock(const json_t *body, struct lock *lock)
{
    const char *id = json_string_value(json_object_get(body, "id"));
    const json_t *requests = json_object_get(body, "requests");
    const json_t *ms = json_object_get(body, "ms");

    *lock = (struct lock){.calls_left = requests != NULL ? json_integer_value(requests) : -1};
    if (id == NULL || !ids_normalize(id, &lock->id))
        return "\"id\" is not an id";
    if (requests == NULL && ms == NULL)
        return "send {\"id\": id, \"requests\": n} or {\"id\": id, \"ms\": n}, or all of them";
    if (requests != NULL && json_integer_value(requests) < 1)
        return "\"requests\" is a number from 1";
    if (ms != NULL && (json_integer_value(ms) < 1 || json_integer_value(ms) > MAX_MS))
        return "\"ms\" is a number from 1 to 600000";
    if (ms != NULL)
        lock->until_ms = clock_monotonic_ms() + json_integer_value(ms);
    return NULL;
}

void locks_door_hold(struct call *call)
{
    struct locks *locks = call->org->locks;
    const json_t *body = call_body(call);
    struct lock lock;
    const char *problem = body != NULL ? read_lock(body, &lock) : NULL;

    if (body == NULL)
        return;
    drop_ended(locks);
    if (problem == NULL && locks->count == MAX_LOCKS)
        problem = "too many locks are held: DELETE /_sandbox/locks";
    if (problem != NULL) {
        refuse(call, problem);
        return;
    }
    locks->list[locks->count++] = lock;
    locks_door_list(call);
}

void locks_door_release(struct call *call)
{
    locks_forget(call->org->locks);
    call_no_content(call);
}
