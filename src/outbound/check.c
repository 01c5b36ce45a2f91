#include "outbound/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "archive/conflicts.h"
#include "archive/hstore.h"
#include "base/buf.h"
#include "base/log.h"
#include "mapping/mask.h"
#include "outbound/care.h"
#include "outbound/records.h"
#include "sf/answer.h"
#include "sf/datetime.h"
#include "sf/id.h"
#include "sync/merge.h"

enum { SQL_MAX_BYTES = 64 * 1024, HSTORE_MAX_BYTES = 500 * 1000 * 1000 };

/* One entry of those that share a request. */
struct link {
    struct plan_entry *planned;
    int64_t log_id;
    struct hstore_pair *old; /* NULL: the entry was made by hand */
    size_t old_count;
    const char *overruled; /* as CONFLICTS_OVERRULED answers */
    int64_t time_us;
    bool is_delete;
};

/* An update or delete of the plan, and what is known of its record. */
struct subject {
    const struct queue_entry *entry; /* the first */
    struct link *links;
    size_t link_count;
    json_t *theirs; /* of the records that were read; NULL: gone */
    bool has_lost;
};

/* All of one mapping. */
struct check {
    const struct deliver_world *world;
    const struct mapping *mapping;
    struct plan *plan;
    enum merge_policy policy;
    struct subject *subjects;
    size_t count;
    struct link *links; /* of all subjects, one after the other */
    size_t link_count;
    json_t *records;
    struct care care;
    bool has_update;
};

/* With the other policies it is not for us to say what a DELETE takes with it. */
static bool looks_at(const struct check *check, enum delivery_action action)
{
    return action == DELIVERY_UPDATE ||
           (action == DELIVERY_DELETE &&
            strcmp(check->mapping->conflict_policy, "last-writer") == 0);
}

static bool is_about(const struct check *check, const struct order_batch *batch)
{
    return looks_at(check, batch->action) &&
           check->plan->entries[batch->entries[0]].mapping == check->mapping;
}

/* The next entry that changes the record in the same request or call, plus one; 0: none. */
static size_t next_link(const struct plan *plan, size_t index)
{
    size_t next = plan_next(plan, index);

    return next == 0 && plan->next_in_unit != NULL ? plan->next_in_unit[index] : next;
}

static size_t count_links(const struct plan *plan, size_t first)
{
    size_t count = 1;

    for (size_t at = next_link(plan, first); at != 0; at = next_link(plan, at - 1))
        count++;
    return count;
}

static void make_room(struct check *check)
{
    size_t subjects = 0;
    size_t links = 0;

    for (size_t i = 0; i < check->plan->round.batch_count; i++) {
        const struct order_batch *batch = &check->plan->round.batches[i];

        for (size_t j = 0; is_about(check, batch) && j < batch->count; j++, subjects++)
            links += count_links(check->plan, batch->entries[j]);
    }
    check->subjects = arena_array(check->world->arena, struct subject, subjects);
    check->links = arena_array(check->world->arena, struct link, links);
}

static void add_link(struct check *check, struct subject *subject, size_t index)
{
    subject->link_count++;
    check->links[check->link_count++] = (struct link){
        .planned = &check->plan->entries[index],
        .log_id = check->plan->queue->entries[index].log_id,
        .overruled = "",
        .is_delete = check->plan->orders[index].action == DELIVERY_DELETE,
    };
    check->has_update = check->has_update || !check->links[check->link_count - 1].is_delete;
}

static void add_subject(struct check *check, size_t first)
{
    const struct queue_entry *entry = &check->plan->queue->entries[first];
    struct subject *subject = &check->subjects[check->count];

    if (entry->sfid == NULL || !sf_id_is_valid(entry->sfid) || strcmp(entry->action, "INSERT") == 0)
        return;
    *subject = (struct subject){.entry = entry, .links = &check->links[check->link_count]};
    add_link(check, subject, first);
    for (size_t at = next_link(check->plan, first); at != 0; at = next_link(check->plan, at - 1))
        add_link(check, subject, at - 1);
    check->count++;
}

static void gather(struct check *check)
{
    make_room(check);
    for (size_t i = 0; i < check->plan->round.batch_count; i++) {
        const struct order_batch *batch = &check->plan->round.batches[i];

        for (size_t j = 0; is_about(check, batch) && j < batch->count; j++)
            add_subject(check, batch->entries[j]);
    }
}

/* --- what the log knows --- */

static const char *list_ids(const struct check *check)
{
    struct buf list BUF_AUTO = {0};

    buf_init(&list, 24 * check->link_count + 24);
    for (size_t i = 0; i < check->link_count; i++)
        pg_append_element(&list, pg_number(check->links[i].log_id).text);
    pg_end_array(&list);
    return arena_strdup(check->world->arena, list.data);
}

/* An `old` that cannot be read is as good as none. */
static void fill_link(const struct check *check, struct link *link, const PGresult *result, int row)
{
    struct arena *arena = check->world->arena;
    const char *old = pg_field(result, row, 0);
    struct error ignored;

    link->time_us = pg_field_int64(result, row, 1);
    link->overruled = arena_strdup(arena, pg_field(result, row, 2));
    link->planned->overruled = link->overruled;
    if (old == NULL || !hstore_parse(old, arena, &link->old, &link->old_count, &ignored)) {
        link->old = NULL;
        link->old_count = 0;
    }
}

/* In the order of the links. */
static bool read_log(const struct check *check, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select l.old,"
                   " (extract(epoch from coalesce(l.commit_time, l.created_at)) * 1000000)::bigint,"
                   " " CONFLICTS_OVERRULED(
                       "i.id", "$2") " from unnest($1::integer[]) with ordinality as i(id, place)"
                                     " left join ");
    pg_append_qualified(&sql, check->world->schema_name, "_trigger_log");
    buf_text(&sql, " l on l.id = i.id"
                   " order by i.place");
    PGresult *result PG_RESULT_AUTO = pg_query(
        check->world->pg, sql.data, PG_PARAMS(list_ids(check), check->world->schema_name), err);
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++)
        fill_link(check, &check->links[row], result, row);
    return true;
}

/* --- what Salesforce has --- */

static bool is_carried(const struct check *check, const char *column)
{
    for (size_t i = 0; i < check->link_count; i++)
        if (hstore_find(check->links[i].planned->pairs, check->links[i].planned->pair_count,
                        column) != NULL ||
            (check->links[i].is_delete &&
             hstore_find(check->links[i].old, check->links[i].old_count, column) != NULL))
            return true;
    return false;
}

static bool is_selected(const struct check *check, const struct mapping_field *field)
{
    return !field->is_system && field != check->mapping->stamp &&
           is_carried(check, field->column_name);
}

/* Who changed it last, and when: the stamp moves with formulas, too. */
static void append_missing(const struct check *check, struct buf *soql)
{
    static const char *const names[] = {CARE_DATE, CARE_USER};

    for (size_t i = 0; i < 2; i++) {
        const struct mapping_field *field = mapping_field_by_name(check->mapping, names[i]);

        if (field == NULL || (!is_selected(check, field) && field != check->mapping->stamp))
            buf_printf(soql, ", %s", names[i]);
    }
}

static void append_select(const struct check *check, struct buf *soql)
{
    const struct mapping *mapping = check->mapping;

    buf_printf(soql, "select Id, %s", mapping->stamp->soql_path);
    for (size_t i = 0; i < mapping->field_count; i++)
        if (is_selected(check, &mapping->fields[i]))
            buf_printf(soql, ", %s", mapping->fields[i].soql_path);
    if (check->has_update)
        append_missing(check, soql);
    buf_printf(soql, " from %s where ", mapping->object_name);
}

static int compare_subjects(const void *left, const void *right)
{
    const struct subject *a = left;
    const struct subject *b = right;

    return strcmp(a->entry->sfid, b->entry->sfid);
}

static int compare_id(const void *id, const void *subject)
{
    return strcmp(id, ((const struct subject *)subject)->entry->sfid);
}

/* A round has one change of a record at most. */
static bool read_records(struct check *check, struct error *err)
{
    const char **ids = arena_array(check->world->arena, const char *, check->count);
    struct records_keys keys = {.field = "Id", .texts = ids, .count = check->count};
    struct buf select BUF_AUTO = {0};
    json_t *record;
    size_t i;

    for (i = 0; i < check->count; i++)
        ids[i] = check->subjects[i].entry->sfid;
    buf_init(&select, SQL_MAX_BYTES);
    append_select(check, &select);
    if (!records_read_by_keys(check->world->session, select.data, &keys, check->records, err))
        return false;
    check->care.looked_s = keys.asked_s;
    check->care.user_id = sf_session_user_id(check->world->session);
    qsort(check->subjects, check->count, sizeof(*check->subjects), compare_subjects);
    json_array_foreach(check->records, i, record)
    {
        const char *id = json_string_value(json_object_get(record, "Id"));
        struct subject *subject = id == NULL ? NULL
                                             : bsearch(id, check->subjects, check->count,
                                                       sizeof(*check->subjects), compare_id);

        if (subject != NULL)
            subject->theirs = record;
    }
    return true;
}

/* --- merging --- */

/* As it would come back from Salesforce, so that the two can be compared. */
static struct value canonical(const struct check *check, const struct mapping_field *field,
                              const char *text)
{
    struct arena *arena = check->world->arena;
    json_t *json SF_JSON_AUTO = NULL;
    const char *read = NULL;
    struct error ignored;

    if (!fieldtype_to_json(field->type, text, arena, &json, &ignored) ||
        !fieldtype_from_json(field->type, json, arena, &read, &ignored))
        return (struct value){.kind = VALUE_ABSENT};
    return merge_value(read != NULL ? arena_strdup(arena, read) : NULL);
}

static struct value theirs_of(const struct check *check, const struct subject *subject,
                              const struct mapping_field *field)
{
    const json_t *value = records_value(subject->theirs, field);
    const char *text = NULL;
    struct error ignored;

    if (value != NULL &&
        !fieldtype_from_json(field->type, value, check->world->arena, &text, &ignored))
        return (struct value){.kind = VALUE_ABSENT};
    return mask_is_one(field, text) ? (struct value){.kind = VALUE_ABSENT} : merge_value(text);
}

/* One column of a subject, as src/sync sees it and as the ledger will. */
struct meeting {
    const struct mapping_field *mapped;
    const struct link *first; /* that carry it; NULL: none that has not lost already */
    const struct link *last;
    struct merge_field field;
};

static struct meeting meet(const struct check *check, const struct subject *subject,
                           const struct mapping_field *mapped)
{
    struct meeting meeting = {.mapped = mapped, .field.is_queued = true};
    const char *column = mapped->column_name;

    for (size_t i = 0; i < subject->link_count; i++) {
        const struct link *link = &subject->links[i];
        const struct hstore_pair *pair =
            hstore_find(link->planned->pairs, link->planned->pair_count, column);

        if (pair == NULL || conflicts_is_overruled(link->overruled, column))
            continue;
        if (meeting.first == NULL)
            meeting.first = link;
        meeting.last = link;
        meeting.field.ours = canonical(check, mapped, pair->value);
    }
    if (meeting.first == NULL || meeting.first->old == NULL || subject->theirs == NULL)
        return meeting;
    const struct hstore_pair *old =
        hstore_find(meeting.first->old, meeting.first->old_count, column);
    if (old != NULL)
        meeting.field.base = canonical(check, mapped, old->value);
    meeting.field.theirs = theirs_of(check, subject, mapped);
    return meeting;
}

static bool store_conflict(const struct check *check, const struct subject *subject,
                           const struct meeting *meeting, enum merge_side winner, struct error *err)
{
    const struct mapping *mapping = check->mapping;
    struct pg_number record_id = pg_number(subject->entry->record_id);
    struct pg_number log_id = pg_number(meeting->last->log_id);
    const struct conflict conflict = {
        .object_name = mapping->object_name,
        .table_name = mapping->table_name,
        .record_id = record_id.text,
        .sfid = subject->entry->sfid,
        .column_name = meeting->mapped->column_name,
        .log_id = log_id.text,
        .winner = winner == MERGE_OURS ? "postgres" : "salesforce",
        .policy = merge_policy_name(check->policy),
        .base_value = merge_text(&meeting->field.base),
        .postgres_value = merge_text(&meeting->field.ours),
        .salesforce_value = merge_text(&meeting->field.theirs),
    };

    return conflicts_settle(check->world->pg, check->world->schema_name, &conflict, err);
}

static struct merge_rules make_rules(const struct check *check, const struct subject *subject,
                                     const struct meeting *meeting)
{
    const char *stamp = json_string_value(records_value(subject->theirs, check->mapping->stamp));
    struct merge_rules rules = {
        .policy = check->policy, .tie = MERGE_POSTGRES, .ours_time_us = meeting->last->time_us};

    if (stamp == NULL || !sf_datetime_parse(stamp, &rules.theirs_time_us))
        rules.theirs_time_us = 0;
    return rules;
}

/* Whether what Salesforce has is what it had before changes of ours that it refused. */
static bool is_left_by_failures(const struct check *check, const struct subject *subject,
                                const struct meeting *meeting, bool *is_left, struct error *err)
{
    struct pg_number record_id = pg_number(subject->entry->record_id);
    struct pg_number log_id = pg_number(meeting->first->log_id);
    struct conflicts_refused refused = {.arena = check->world->arena,
                                        .schema_name = check->world->schema_name,
                                        .table_name = check->mapping->table_name,
                                        .record_id = record_id.text,
                                        .column_name = meeting->mapped->column_name,
                                        .before_log_id = log_id.text};

    if (!conflicts_read_refused(check->world->pg, &refused, err))
        return false;
    struct value *befores = arena_array(check->world->arena, struct value, refused.count);
    for (size_t i = 0; i < refused.count; i++)
        befores[i] = canonical(check, meeting->mapped, refused.befores[i]);
    *is_left = merge_is_left(&meeting->field.theirs, befores, refused.count);
    return true;
}

/* Whether the column is still to be sent. What is not known to differ is. */
static bool decide(const struct check *check, struct subject *subject, struct meeting *meeting,
                   bool *is_sent, struct error *err)
{
    struct merge_field *field = &meeting->field;
    bool is_left = false;

    *is_sent = meeting->first != NULL;
    subject->has_lost = subject->has_lost || !*is_sent;
    if (!*is_sent || meeting->first->old == NULL || subject->theirs == NULL)
        return true;

    struct merge_rules rules = make_rules(check, subject, meeting);
    struct merge_result result = merge_field(field, &rules);
    if (result.winner != MERGE_NOBODY &&
        !is_left_by_failures(check, subject, meeting, &is_left, err))
        return false;
    if (is_left) {
        field->base = field->theirs;
        result = merge_field(field, &rules);
    }
    *is_sent = !result.takes_theirs && !merge_equal(&field->ours, &field->theirs);
    if (result.winner == MERGE_NOBODY)
        return true;
    subject->has_lost = subject->has_lost || result.winner == MERGE_THEIRS;
    return store_conflict(check, subject, meeting, result.winner, err);
}

/* Out of all entries of the request, or out of those whose value lost. */
static void drop_column(const struct check *check, struct subject *subject, const char *column,
                        bool is_sent)
{
    for (size_t i = 0; i < subject->link_count; i++) {
        struct plan_entry *planned = subject->links[i].planned;
        struct hstore_pair *kept =
            arena_array(check->world->arena, struct hstore_pair, planned->pair_count);
        size_t count = 0;

        if (is_sent && !conflicts_is_overruled(subject->links[i].overruled, column))
            continue;
        for (size_t j = 0; j < planned->pair_count; j++)
            if (strcmp(planned->pairs[j].key, column) != 0)
                kept[count++] = planned->pairs[j];
        planned->pairs = kept;
        planned->pair_count = count;
    }
}

static void end_if_empty(struct subject *subject)
{
    for (size_t i = 0; i < subject->link_count; i++)
        if (subject->links[i].planned->pair_count > 0)
            return;
    for (size_t i = 0; i < subject->link_count; i++) {
        struct plan_entry *planned = subject->links[i].planned;

        planned->is_over = true;
        planned->over_as = subject->has_lost ? DELIVERY_MERGED : DELIVERY_SUCCESS;
        planned->over_why =
            subject->has_lost ? "pgforce: Salesforce's values won (`pgforce conflicts`)" : NULL;
    }
}

static bool is_in_subject(const struct subject *subject, const char *column)
{
    for (size_t i = 0; i < subject->link_count; i++)
        if (hstore_find(subject->links[i].planned->pairs, subject->links[i].planned->pair_count,
                        column) != NULL)
            return true;
    return false;
}

static bool judge(struct check *check, struct subject *subject, struct error *err)
{
    bool has_dropped = false;

    for (size_t i = 0; i < check->mapping->field_count; i++) {
        const struct mapping_field *mapped = &check->mapping->fields[i];
        bool is_sent;

        if (mapped->is_system || !mapped->is_updateable ||
            !is_in_subject(subject, mapped->column_name))
            continue;
        struct meeting meeting = meet(check, subject, mapped);
        if (!decide(check, subject, &meeting, &is_sent, err))
            return false;
        drop_column(check, subject, mapped->column_name, is_sent);
        has_dropped = has_dropped || !is_sent;
    }
    if (has_dropped)
        end_if_empty(subject);
    if (!subject->links[0].planned->is_over)
        care_take(&check->care, subject->theirs, subject->entry, subject->links[0].planned);
    return true;
}

static bool judge_lost(const struct check *check, const struct subject *subject,
                       const struct meeting *meeting, struct error *err)
{
    const struct merge_field *field = &meeting->field;
    bool is_left = false;

    if (field->base.kind == VALUE_ABSENT || field->theirs.kind == VALUE_ABSENT ||
        merge_equal(&field->base, &field->theirs))
        return true;
    if (!is_left_by_failures(check, subject, meeting, &is_left, err))
        return false;
    return is_left || store_conflict(check, subject, meeting, MERGE_OURS, err);
}

/* What somebody wrote there since is deleted unseen: the ledger keeps it. */
static bool judge_removal(const struct check *check, const struct subject *subject,
                          struct error *err)
{
    const struct link *link = &subject->links[0];

    for (size_t i = 0; subject->theirs != NULL && i < check->mapping->field_count; i++) {
        const struct mapping_field *mapped = &check->mapping->fields[i];
        const struct hstore_pair *old =
            hstore_find(link->old, link->old_count, mapped->column_name);

        if (mapped->is_system || !mapped->is_updateable || old == NULL)
            continue;
        const struct meeting meeting = {
            .mapped = mapped,
            .first = link,
            .last = link,
            .field = {.base = canonical(check, mapped, old->value),
                      .ours = {.kind = VALUE_NULL},
                      .theirs = theirs_of(check, subject, mapped)},
        };
        if (!judge_lost(check, subject, &meeting, err))
            return false;
    }
    return true;
}

static bool check_mapping(struct check *check, struct error *err)
{
    json_t *records SF_JSON_AUTO = json_array();

    check->records = records;
    if (!merge_policy_parse(check->mapping->conflict_policy, &check->policy))
        return error_set(err, ERROR_BUG, "unknown conflict policy %s",
                         check->mapping->conflict_policy);
    if (!read_log(check, err) || (check->policy != MERGE_POSTGRES && !read_records(check, err)))
        return false;
    for (size_t i = 0; i < check->count; i++)
        if (check->subjects[i].links[0].is_delete ? !judge_removal(check, &check->subjects[i], err)
                                                  : !judge(check, &check->subjects[i], err))
            return false;
    return true;
}

/* Salesforce is away: these wait. What it will not tell (a hidden field) it will not let us write
 * either, and says so then. */
static bool forgive(const struct check *check, struct error *err)
{
    bool is_connected = PQstatus(pg_conn(check->world->pg)) == CONNECTION_OK;

    if (!is_connected || err->kind == ERROR_BUG)
        return error_prefix(err, "looking before updating %s", check->mapping->object_name);
    log_warning("could not read what is about to be updated",
                log_text("mapping", check->mapping->object_name), log_text("reason", err->message));
    for (size_t i = 0; err->kind == ERROR_RETRY && i < check->count; i++)
        check->subjects[i].links[0].planned->is_put_off = true;
    return true;
}

static void count(const struct check *check, struct check_report *report)
{
    for (size_t i = 0; i < check->count; i++) {
        report->put_off += check->subjects[i].links[0].planned->is_put_off;
        report->over += check->subjects[i].links[0].planned->is_over;
    }
}

bool check_updates(const struct deliver_world *world, const struct mapping_list *mappings,
                   struct plan *plan, struct check_report *report, struct error *err)
{
    *report = (struct check_report){0};
    for (size_t i = 0; i < mappings->count; i++) {
        struct check check = {.world = world, .mapping = &mappings->items[i], .plan = plan};

        gather(&check);
        if (check.count > 0 && !check_mapping(&check, err) && !forgive(&check, err))
            return false;
        count(&check, report);
    }
    return true;
}
