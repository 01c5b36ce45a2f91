#include "sandbox/bulk_ingest.h"

#include <string.h>
#include <strings.h>

#include "sandbox/bulk_load.h"
#include "sandbox/limits.h"
#include "sandbox/multipart.h"

/* ---- creating ---- */

static bool refuse(struct call *call, const char *code, const char *message)
{
    call_error(call, code, "%s", message);
    return false;
}

static const char *get_text(const json_t *parameters, const char *key)
{
    const char *text = json_string_value(json_object_get(parameters, key));

    return text != NULL ? text : "";
}

static bool set_key(struct call *call, struct bulk_job *job, const char *name)
{
    if (strcmp(job->operation, "upsert") != 0)
        return true;
    if (*name == '\0')
        return refuse(call, "INVALIDJOB",
                      arena_printf(call->arena,
                                   "InvalidJob : External ID was blank for %s. An External ID must "
                                   "be specified for upsert.",
                                   job->object->name));
    job->key = schema_field(job->object, name);
    if (job->key == NULL || !job->key->is_id_lookup)
        return refuse(call, "INVALIDJOB",
                      arena_printf(call->arena,
                                   "InvalidJob : Field name provided, %s does not match an "
                                   "External ID, Salesforce Id, or indexed field for %s",
                                   name, job->object->name));
    return true;
}

static bool set_target(struct call *call, struct bulk_job *job, const json_t *parameters)
{
    const char *name = get_text(parameters, "object");

    job->object = schema_find_visible(call->org->schema, name);
    if (job->object == NULL)
        return refuse(call, "INVALIDENTITY",
                      arena_printf(call->arena,
                                   "InvalidEntity : Entity '%s' is not supported by the Bulk API.",
                                   name));
    if (strcmp(job->operation, "hardDelete") == 0 &&
        bulk_jobs_switches(call->org->bulk)->has_no_hard_delete)
        return refuse(call, "FEATURENOTENABLED",
                      "FeatureNotEnabled : hardDelete operation requires special user profile "
                      "permission, please contact your system administrator");
    return set_key(call, job, get_text(parameters, "externalIdFieldName"));
}

static struct bulk_job *make_job(struct call *call, const json_t *parameters)
{
    struct bulk_job *job = bulk_jobs_make(call, parameters, false);

    if (job == NULL || set_target(call, job, parameters))
        return job;
    bulk_jobs_drop(job);
    return NULL;
}

static bool store_upload(struct call *call, struct bulk_job *job, const char *data,
                         size_t size_bytes)
{
    struct error err = {0};
    struct spool *upload = spool_new();

    if (spool_append(upload, data, size_bytes, &err)) {
        job->upload = upload;
        job->is_changed = true;
        return true;
    }
    spool_free(upload);
    call_failed(call, &err);
    return false;
}

struct bulk_job *bulk_ingest_make_batch(struct call *call, const json_t *parameters)
{
    struct bulk_job *job = make_job(call, parameters);

    if (job == NULL)
        return NULL;
    job->format.takes_any_end = true;
    if (store_upload(call, job, call->request->body, call->request->body_bytes)) {
        bulk_jobs_set_state(call->org, job, BULK_UPLOAD_COMPLETE);
        return job;
    }
    bulk_jobs_drop(job);
    return NULL;
}

/* The parameters and the data in one call: a part "job" and a part "content". */
static struct bulk_job *make_whole(struct call *call, const struct multipart_body *body)
{
    size_t job_bytes = 0;
    size_t content_bytes = 0;
    const char *description = multipart_find(body, "job", &job_bytes);
    const char *content = multipart_find(body, "content", &content_bytes);
    json_t *parameters = description != NULL ? json_loadb(description, job_bytes, 0, NULL) : NULL;

    if (parameters == NULL || content == NULL) {
        json_decref(parameters);
        refuse(call, "INVALIDJOB",
               "InvalidJob : a part named job and one named content are needed");
        return NULL;
    }
    struct bulk_job *job = make_job(call, parameters);
    json_decref(parameters);
    if (job == NULL)
        return NULL;
    if (store_upload(call, job, content, content_bytes)) {
        bulk_jobs_set_state(call->org, job, BULK_UPLOAD_COMPLETE);
        return job;
    }
    bulk_jobs_drop(job);
    return NULL;
}

void bulk_ingest_create(struct call *call)
{
    const struct multipart_body whole = {
        .content_type = http_server_header(call->request, "Content-Type"),
        .data = call->request->body,
        .size_bytes = call->request->body_bytes,
    };
    struct bulk_job *job = NULL;

    if (multipart_is(whole.content_type)) {
        job = make_whole(call, &whole);
    } else {
        json_t *body = call_body(call);
        job = body != NULL ? make_job(call, body) : NULL;
    }
    if (job == NULL)
        return;
    if (!limits_use(call->org->limits, "DailyBulkApiBatches")) {
        bulk_jobs_drop(job);
        refuse(call, "EXCEEDEDQUOTA", "ExceededQuota : ApiBatchItems Limit exceeded.");
        return;
    }
    bulk_jobs_add(call, job);
    call_json(call, 200, bulk_jobs_describe(job, true));
}

/* ---- data ---- */

void bulk_ingest_upload(struct call *call)
{
    struct bulk_job *job = bulk_jobs_find(call, false);
    const char *type = http_server_header(call->request, "Content-Type");

    if (job == NULL)
        return;
    if (type != NULL && strncasecmp(type, "text/csv", 8) != 0) {
        refuse(call, "UNSUPPORTED_MEDIA_TYPE", "The content type must be text/csv");
        return;
    }
    if (job->state != BULK_OPEN || job->upload != NULL) {
        refuse(call, "INVALIDJOBSTATE",
               job->upload != NULL ? "Found multiple contents for job: <one upload per job>"
                                   : "InvalidJobState : the job is not open");
        return;
    }
    if (store_upload(call, job, call->request->body, call->request->body_bytes))
        call->response->status = 201;
}

static bool answer_spool(struct call *call, struct spool *spool)
{
    struct error err = {0};

    call_header(call, "Content-Type", "text/csv; charset=UTF-8");
    if (spool == NULL || spool_send(spool, 0, spool_size(spool), call->response, &err))
        return true;
    call_failed(call, &err);
    return false;
}

/* Results are there once the job has ended. */
static struct bulk_job *find_ended(struct call *call)
{
    struct bulk_job *job = bulk_jobs_find(call, false);

    if (job == NULL || job->state >= BULK_JOB_COMPLETE)
        return job;
    refuse(call, "INVALIDJOBSTATE", "InvalidJobState : the job has not ended");
    return NULL;
}

void bulk_ingest_successful(struct call *call)
{
    struct bulk_job *job = find_ended(call);

    if (job != NULL)
        answer_spool(call, job->successes);
}

void bulk_ingest_failed(struct call *call)
{
    struct bulk_job *job = find_ended(call);

    if (job != NULL)
        answer_spool(call, job->failures);
}

void bulk_ingest_unprocessed(struct call *call)
{
    struct bulk_job *job = find_ended(call);
    struct error err = {0};

    if (job == NULL)
        return;
    if (bulk_load_finish(call, job, &err))
        answer_spool(call, job->unprocessed);
    else
        call_failed(call, &err);
}
