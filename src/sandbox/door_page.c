#include "sandbox/door_page.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sandbox/cometd_clients.h"
#include "sandbox/event_log.h"
#include "sandbox/events.h"
#include "sandbox/faults.h"
#include "sandbox/journal.h"
#include "sandbox/times.h"

enum { JOURNAL_TAIL = 25 };

/* What each call is for; docs/sandbox.md has the examples. */
static const struct {
    const char *call;
    const char *body;
    const char *help;
} calls[] = {
    {"POST /_sandbox/faults",
     "{\"match\":{\"method\":\"POST\",\"path\":\"/composite\"},\"times\":1,\"status\":503}",
     "what the next matching calls meet: status, body, headers, delay_ms, drop before or after"},
    {"GET /_sandbox/faults", "", "the faults that are waiting"},
    {"DELETE /_sandbox/faults", "", "forget them"},
    {"GET /_sandbox/journal", "", "every request received; ?clear=1 empties it afterwards"},
    {"DELETE /_sandbox/journal", "", "empty it"},
    {"GET /_sandbox/clock", "", "the organisation's time"},
    {"POST /_sandbox/clock", "{\"advance_seconds\":3600}", "move it; may be negative"},
    {"GET /_sandbox/limits", "", "what the calls have cost"},
    {"POST /_sandbox/limits",
     "{\"used\":0,\"max\":15000,\"app\":{...},\"concurrent\":2,\"limits\":{...}}",
     "the daily API requests, those of one app, calls refused as too many at once, other limits"},
    {"GET /_sandbox/users", "", "who may sign in, and what they may not do"},
    {"POST /_sandbox/users",
     "{\"username\":\"rita@sandbox.example\",\"fields\":{\"Account.Phone\":\"hidden\"}}",
     "add or change a user and his rights"},
    {"POST /_sandbox/sessions/expire", "", "every session ends, but the fixed token's"},
    {"POST /_sandbox/queries/expire", "", "every query locator becomes invalid"},
    {"POST /_sandbox/objects", "{\"name\":\"Thing__c\",\"fields\":[...]}",
     "add an object, or fields to one"},
    {"POST /_sandbox/load", "{\"object\":\"Account\",\"count\":100000}", "make rows, fast"},
    {"POST /_sandbox/records", "{\"object\":\"Account\",\"records\":[...]}",
     "put rows in as they are, system fields too"},
    {"GET /_sandbox/records/Account", "", "every row, the deleted ones too"},
    {"POST /_sandbox/undelete", "{\"ids\":[...]}", "take records out of the recycle bin"},
    {"POST /_sandbox/purge", "{\"ids\":[...]}", "delete for good; no event tells of it"},
    {"POST /_sandbox/bin/empty", "", "what is deleted is gone, and getDeleted forgets it"},
    {"GET /_sandbox/locks", "", "the records that are locked"},
    {"POST /_sandbox/locks", "{\"id\":\"001...\",\"requests\":3} or {\"id\":\"001...\",\"ms\":500}",
     "lock a record, and what refers to it"},
    {"DELETE /_sandbox/locks", "", "release them"},
    {"POST /_sandbox/reset", "", "every record goes, but those of birth"},
    {"POST /_sandbox/snapshot", "{\"name\":\"before\"}",
     "keep all records and events as they are now"},
    {"POST /_sandbox/restore", "{\"name\":\"before\"}", "bring them back"},
    {"GET /_sandbox/rules", "", "the settings of the organisation"},
    {"POST /_sandbox/rules",
     "{\"validation\":false,\"commit_lag_s\":30,\"page_rows\":50,\"hide\":[...]}",
     "set them: validation rules, lag of commits, query pages, hidden fields, JWT certificate"},
    {"GET /_sandbox/row-faults", "", "the rows that will fail"},
    {"POST /_sandbox/row-faults", "{\"id\":\"001...\",\"times\":2,\"code\":\"UNABLE_TO_LOCK_ROW\"}",
     "make a row fail"},
    {"DELETE /_sandbox/row-faults", "", "forget them"},
    {"POST /_sandbox/duplicate-rules", "{\"object\":\"Lead\",\"fields\":[\"Email\"]}",
     "refuse records alike in these fields"},
    {"DELETE /_sandbox/duplicate-rules", "", "forget them"},
    {"POST /_sandbox/merge", "{\"winner\":\"001...\",\"losers\":[\"001...\"]}", "merge records"},
    {"GET /_sandbox/bulk", "", "the switches of bulk jobs"},
    {"POST /_sandbox/bulk",
     "{\"stuck\":true,\"shuffle\":true,\"hard_delete\":false,\"fail_after\":100,\"page_rows\":10}",
     "set them"},
    {"POST /_sandbox/bulk/prepare",
     "{\"operation\":\"query\",\"query\":\"SELECT Id FROM Account\"}",
     "run a query job now, for a job to come"},
    {"GET /_sandbox/events", "", "who is listening to what, and how far"},
    {"POST /_sandbox/events/gap",
     "{\"object\":\"Account\",\"next\":1} or "
     "{...,\"changeType\":\"GAP_UPDATE\",\"recordIds\":[...]}",
     "change events without fields"},
    {"POST /_sandbox/events/overflow", "{\"object\":\"Account\"}", "one GAP_OVERFLOW"},
    {"POST /_sandbox/events/channel",
     "{\"channel\":\"Sales__chn\",\"objects\":[\"Account\",\"Contact\"]}",
     "a custom channel of change events"},
    {"POST /_sandbox/events/capture", "{\"object\":\"Account\",\"enabled\":false}",
     "switch change data capture per object"},
    {"POST /_sandbox/events/expire", "", "drop every stored event: replay ids become invalid"},
    {"POST /_sandbox/events/forget", "", "every CometD client becomes unknown"},
    {"POST /_sandbox/events/repeat", "{\"count\":5}", "tell every client its last events again"},
};

static void write_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '&': buf_text(out, "&amp;"); break;
        case '"': buf_text(out, "&quot;"); break;
        default: buf_char(out, *text);
        }
}

static void write_json(struct buf *out, json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(1));

    buf_text(out, "<pre>");
    write_escaped(out, text != NULL ? text : "");
    buf_text(out, "</pre>\n");
    free(text);
    json_decref(json);
}

static void write_calls(struct buf *out)
{
    buf_text(out, "<h2>Calls</h2>\n<table>\n<tr><th>call<th>body<th>what it does\n");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        buf_text(out, "<tr><td><code>");
        write_escaped(out, calls[i].call);
        buf_text(out, "</code><td><code>");
        write_escaped(out, calls[i].body);
        buf_text(out, "</code><td>");
        write_escaped(out, calls[i].help);
        buf_char(out, '\n');
    }
    buf_text(out, "</table>\n");
}

static const char *get_text(const json_t *entry, const char *name)
{
    const char *text = json_string_value(json_object_get(entry, name));

    return text != NULL ? text : "";
}

static void write_journal(struct call *call, struct buf *out)
{
    json_t *entries = journal_read(call->org->journal);
    size_t count = json_array_size(entries);

    buf_printf(out, "<h2>Journal</h2>\n<p>%zu requests, the last of them:\n<table>\n", count);
    buf_text(out, "<tr><th>n<th>method<th>path<th>status<th>records<th>fault\n");
    for (size_t i = count > JOURNAL_TAIL ? count - JOURNAL_TAIL : 0; i < count; i++) {
        const json_t *entry = json_array_get(entries, i);

        buf_printf(out, "<tr><td>%" JSON_INTEGER_FORMAT "<td>",
                   json_integer_value(json_object_get(entry, "n")));
        write_escaped(out, get_text(entry, "method"));
        buf_text(out, "<td>");
        write_escaped(out, get_text(entry, "path"));
        buf_printf(out, "<td>%" JSON_INTEGER_FORMAT "<td>%" JSON_INTEGER_FORMAT "<td>",
                   json_integer_value(json_object_get(entry, "status")),
                   json_integer_value(json_object_get(entry, "records")));
        write_escaped(out, get_text(entry, "fault"));
        buf_char(out, '\n');
    }
    buf_text(out, "</table>\n");
    json_decref(entries);
}

static void write_state(struct call *call, struct buf *out)
{
    const struct org *org = call->org;

    buf_printf(out,
               "<h2>State</h2>\n<table>\n"
               "<tr><td>clock<td>%s (%+" PRId64 " s)\n"
               "<tr><td>API requests<td>%" PRId64 " of %" PRId64 "\n"
               "<tr><td>objects<td>%zu\n"
               "<tr><td>last replay id<td>%" PRId64 "\n</table>\n",
               times_format_datetime(org_now(org)).text, org->clock_offset_s, org->api_used,
               org->api_max, schema_count(org->schema), event_log_last(events_log(org->events)));
    buf_text(out, "<h2>Faults waiting</h2>\n");
    write_json(out, faults_list(org->faults));
    buf_text(out, "<h2>CometD clients</h2>\n");
    write_json(out, cometd_clients_describe(org->cometd));
}

void door_page(struct call *call)
{
    struct buf *out = &call->response->body;

    call_header(call, "Content-Type", "text/html;charset=UTF-8");
    buf_text(out,
             "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
             "<title>pgforce-sandbox</title>\n"
             "<style>body{font:14px sans-serif;margin:2em}td,th{text-align:left;"
             "padding:.2em 1em .2em 0;vertical-align:top}</style>\n<h1>The sandbox's door</h1>\n"
             "<p>For tests and demos: no session is asked for. A body is JSON.\n");
    write_state(call, out);
    write_calls(out);
    write_journal(call, out);
    buf_text(out, "</html>\n");
}
