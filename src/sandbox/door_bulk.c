#include "sandbox/door_bulk.h"

#include "sandbox/bulk_query.h"

static void set_flag(const json_t *body, const char *key, bool *flag)
{
    const json_t *value = json_object_get(body, key);

    if (value != NULL)
        *flag = json_is_true(value);
}

static void set_number(const json_t *body, const char *key, int64_t otherwise, int64_t *number)
{
    const json_t *value = json_object_get(body, key);

    if (value != NULL)
        *number = json_is_integer(value) ? json_integer_value(value) : otherwise;
}

void door_bulk_read(struct call *call)
{
    const struct bulk_switches *switches = bulk_jobs_switches(call->org->bulk);

    call_json(call, 200,
              json_pack("{s:b, s:b, s:b, s:I, s:I}", "stuck", switches->is_stuck, "shuffle",
                        switches->is_shuffled, "hard_delete", !switches->has_no_hard_delete,
                        "fail_after", (json_int_t)switches->fail_after, "page_rows",
                        (json_int_t)switches->page_rows));
}

void door_bulk_set(struct call *call)
{
    struct bulk_switches *switches = bulk_jobs_switches(call->org->bulk);
    json_t *body = call_body(call);
    bool has_hard_delete = !switches->has_no_hard_delete;

    if (body == NULL)
        return;
    set_flag(body, "stuck", &switches->is_stuck);
    set_flag(body, "shuffle", &switches->is_shuffled);
    set_flag(body, "hard_delete", &has_hard_delete);
    set_number(body, "fail_after", -1, &switches->fail_after);
    set_number(body, "page_rows", 0, &switches->page_rows);
    switches->has_no_hard_delete = !has_hard_delete;
    door_bulk_read(call);
}

void door_bulk_prepare(struct call *call)
{
    struct bulk_job **list = bulk_jobs_prepared(call->org->bulk);
    json_t *body = call_body(call);
    struct bulk_job *job = body != NULL ? bulk_query_make(call, body) : NULL;
    struct error err = {0};

    if (job == NULL)
        return;
    while (job->state != BULK_JOB_COMPLETE)
        if (!bulk_query_work(call, job, &err)) {
            bulk_jobs_drop(job);
            call_failed(call, &err);
            return;
        }
    job->next = *list;
    *list = job;
    call_json(call, 200, json_pack("{s:I}", "rows", (json_int_t)bulk_pages_count(job->pages)));
}
