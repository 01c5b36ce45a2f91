#include "sandbox/sales.h"

#include <math.h>
#include <string.h>

#include "sandbox/events.h"
#include "sandbox/times.h"

enum { MAX_SQL_BYTES = 64 * 1024 };

static const char integrity[] = "FIELD_INTEGRITY_EXCEPTION";

static struct value *value_of(struct draft *draft, const char *name)
{
    return &draft->values[schema_field(draft->save->object, name)->index];
}

static bool is_given(const struct draft *draft, const char *name)
{
    return draft->is_given[schema_field(draft->save->object, name)->index];
}

static bool is_null(struct draft *draft, const char *name)
{
    return value_of(draft, name)->kind == VALUE_NULL;
}

/* The row behind a reference; its values are NULL when there is none. */
static bool load(struct draft *draft, const char *object, const char *reference,
                 struct store_row *row, struct error *err)
{
    *row = (struct store_row){.object = schema_find(draft->save->org->schema, object),
                              .id = value_of(draft, reference)->text};
    return row->id == NULL || store_load(draft->save->org->store, draft->save->arena, row, err);
}

static struct value part(const struct store_row *row, const char *name)
{
    if (row->values == NULL)
        return (struct value){.kind = VALUE_NULL};
    return row->values[schema_field(row->object, name)->index];
}

/* The first column of the first row for two values; null when there is none. */
static bool look_up(struct draft *draft, const char *sql, const struct value values[2],
                    struct value *found, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    *found = (struct value){.kind = VALUE_NULL};
    if (!store_prepare(draft->save->org->store, sql, &statement, err))
        return false;
    store_bind(statement, 1, &values[0]);
    store_bind(statement, 2, &values[1]);
    if (!store_step(draft->save->org->store, statement, &has_row, err))
        return false;
    if (has_row)
        *found = store_column(draft->save->arena, statement, 0);
    sqlite3_reset(statement);
    return true;
}

/* ---- prices ---- */

static bool find_standard_price(struct draft *draft, struct value *price, struct error *err)
{
    const struct value values[] = {*value_of(draft, "Product2Id"), {.kind = VALUE_NULL}};

    return look_up(draft,
                   "select e.\"UnitPrice\" from \"PricebookEntry\" e "
                   "join \"Pricebook2\" b on b.\"Id\" = e.\"Pricebook2Id\" "
                   "where e.\"Product2Id\" = ?1 and e.\"IsDeleted\" = 0 and b.\"IsStandard\" = 1 "
                   "and ?2 is null",
                   values, price, err);
}

static bool complete_entry(struct draft *draft, struct error *err)
{
    struct record_errors *errors = &draft->save->errors;
    const struct value pair[] = {*value_of(draft, "Pricebook2Id"), *value_of(draft, "Product2Id")};
    struct store_row product;
    struct store_row book;
    struct value standard;
    struct value twin;

    if (!load(draft, "Product2", "Product2Id", &product, err) ||
        !load(draft, "Pricebook2", "Pricebook2Id", &book, err) ||
        !find_standard_price(draft, &standard, err) ||
        !look_up(draft,
                 "select \"Id\" from \"PricebookEntry\" "
                 "where \"Pricebook2Id\" = ?1 and \"Product2Id\" = ?2 and \"IsDeleted\" = 0",
                 pair, &twin, err))
        return false;
    *value_of(draft, "Name") = part(&product, "Name");
    *value_of(draft, "ProductCode") = part(&product, "ProductCode");
    if (draft->is_insert && twin.kind != VALUE_NULL)
        errors_add(errors, "DUPLICATE_VALUE", "",
                   "This price definition already exists in this price book");
    else if (book.values != NULL && part(&book, "IsStandard").integer == 0 &&
             standard.kind == VALUE_NULL)
        errors_add(errors, "STANDARD_PRICE_NOT_DEFINED", "",
                   "Before creating a custom price, create a standard price.");
    else if (value_of(draft, "UseStandardPrice")->integer != 0)
        *value_of(draft, "UnitPrice") = standard;
    return true;
}

/* ---- opportunity products ---- */

/* The entry of a product that was named alone: in the opportunity's price book. */
static bool find_entry(struct draft *draft, struct error *err)
{
    const struct value pair[] = {*value_of(draft, "OpportunityId"), *value_of(draft, "Product2Id")};

    if (!is_null(draft, "PricebookEntryId") || is_null(draft, "Product2Id"))
        return true;
    return look_up(draft,
                   "select e.\"Id\" from \"PricebookEntry\" e "
                   "join \"Opportunity\" o on o.\"Pricebook2Id\" = e.\"Pricebook2Id\" "
                   "where o.\"Id\" = ?1 and e.\"Product2Id\" = ?2 and e.\"IsDeleted\" = 0",
                   pair, value_of(draft, "PricebookEntryId"), err);
}

static double round_money(double amount)
{
    return round(amount * 100) / 100;
}

/* One of price and total gives the other; the discount is on the total. */
static void complete_prices(struct draft *draft)
{
    double quantity = value_of(draft, "Quantity")->real;
    double share = 1 - value_of(draft, "Discount")->real / 100;
    struct value *total = value_of(draft, "TotalPrice");
    struct value *price = value_of(draft, "UnitPrice");

    if (is_given(draft, "TotalPrice") && !is_given(draft, "UnitPrice") &&
        total->kind == VALUE_REAL && quantity != 0 && share != 0) {
        *price = value_real(round_money(total->real / quantity / share));
        return;
    }
    if (price->kind == VALUE_NULL)
        *price = *value_of(draft, "ListPrice");
    if (price->kind == VALUE_REAL)
        *total = value_real(round_money(quantity * price->real * share));
}

static bool complete_product(struct draft *draft, struct error *err)
{
    struct store_row entry;
    struct store_row opportunity;

    if (draft->is_insert && !find_entry(draft, err))
        return false;
    if (!load(draft, "PricebookEntry", "PricebookEntryId", &entry, err) ||
        !load(draft, "Opportunity", "OpportunityId", &opportunity, err))
        return false;
    if (draft->is_insert && is_null(draft, "PricebookEntryId")) {
        errors_add(&draft->save->errors, integrity, "PricebookEntryId",
                   "field integrity exception: PricebookEntryId (pricebook entry is not found)");
        return true;
    }
    if (draft->is_insert && entry.values != NULL) {
        const char *deal = part(&opportunity, "Name").text;
        const char *product = part(&entry, "Name").text;

        *value_of(draft, "Product2Id") = part(&entry, "Product2Id");
        *value_of(draft, "ProductCode") = part(&entry, "ProductCode");
        *value_of(draft, "ListPrice") = part(&entry, "UnitPrice");
        *value_of(draft, "Name") = value_text(arena_printf(
            draft->save->arena, "%s %s", deal != NULL ? deal : "", product != NULL ? product : ""));
    }
    complete_prices(draft);
    return true;
}

/* ---- campaigns ---- */

static bool complete_member(struct draft *draft, struct error *err)
{
    bool has_lead = !is_null(draft, "LeadId");
    bool has_contact = !is_null(draft, "ContactId");
    const struct value pair[] = {*value_of(draft, "CampaignId"),
                                 *value_of(draft, has_contact ? "ContactId" : "LeadId")};
    struct value twin = {.kind = VALUE_NULL};

    if (!draft->is_insert)
        return true;
    if (!has_lead && !has_contact) {
        errors_add(&draft->save->errors, "REQUIRED_FIELD_MISSING", "LeadId,ContactId",
                   "Required fields are missing: [LeadId or ContactId]");
        return true;
    }
    if (!look_up(draft,
                 "select \"Id\" from \"CampaignMember\" "
                 "where \"CampaignId\" = ?1 and ?2 in (\"ContactId\", \"LeadId\") "
                 "and \"IsDeleted\" = 0",
                 pair, &twin, err))
        return false;
    if (twin.kind != VALUE_NULL)
        errors_add(&draft->save->errors, "DUPLICATE_VALUE", "", "Already a campaign member.");
    return true;
}

/* ---- events ---- */

static const char *later(struct draft *draft, const char *text, int64_t minutes)
{
    int64_t seconds = 0;

    if (!times_parse_datetime(text, true, &seconds))
        return text;
    return arena_strdup(draft->save->arena, times_format_datetime(seconds + minutes * 60).text);
}

/* An event begins, and lasts or ends; the other names of these are filled in. */
static bool complete_event(struct draft *draft, struct error *err)
{
    struct value *start = value_of(draft, "StartDateTime");
    struct value *end = value_of(draft, "EndDateTime");
    struct value *minutes = value_of(draft, "DurationInMinutes");
    int64_t from_s = 0;
    int64_t to_s = 0;

    (void)err;
    if (is_given(draft, "ActivityDateTime") && !is_given(draft, "StartDateTime"))
        *start = *value_of(draft, "ActivityDateTime");
    if (start->kind == VALUE_NULL && !is_null(draft, "ActivityDate"))
        *start = value_text(arena_printf(draft->save->arena, "%sT00:00:00.000+0000",
                                         value_of(draft, "ActivityDate")->text));
    if (start->kind == VALUE_TEXT && minutes->kind == VALUE_INTEGER &&
        !is_given(draft, "EndDateTime"))
        *end = value_text(later(draft, start->text, minutes->integer));
    if (start->kind == VALUE_NULL || end->kind == VALUE_NULL) {
        errors_add(&draft->save->errors, "REQUIRED_FIELD_MISSING", "StartDateTime,EndDateTime",
                   "Required fields are missing: [DurationInMinutes, ActivityDateTime]");
        return true;
    }
    times_parse_datetime(start->text, true, &from_s);
    times_parse_datetime(end->text, true, &to_s);
    if (to_s < from_s)
        errors_add(&draft->save->errors, integrity, "EndDateTime",
                   "Event duration can't be negative.");
    *minutes = value_integer((to_s - from_s) / 60);
    *value_of(draft, "ActivityDateTime") = *start;
    *value_of(draft, "ActivityDate") =
        value_text(arena_strdup(draft->save->arena, times_format_date(from_s).text));
    return true;
}

static const struct {
    const char *object;
    bool (*complete)(struct draft *draft, struct error *err);
} rows[] = {
    {"PricebookEntry", complete_entry},
    {"OpportunityLineItem", complete_product},
    {"CampaignMember", complete_member},
    {"Event", complete_event},
};

bool sales_complete(struct draft *draft, struct error *err)
{
    if (!errors_is_empty(&draft->save->errors))
        return true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].object, draft->save->object->name) == 0)
            return rows[i].complete(draft, err);
    return true;
}

/* ---- sums ---- */

static const char sum_of_lines[] =
    "select sum(\"TotalPrice\") a, sum(\"Quantity\") q, count(*) n from \"OpportunityLineItem\" "
    "where \"OpportunityId\" = %s and \"IsDeleted\" = 0";

/* What the lines of an opportunity come to; without any, its own amount stays. The change is
 * collected beside those that are saved (events.c). */
static void write_trigger(const char *when, const char *line, struct buf *sql)
{
    const char *id = strcmp(line, "old") == 0 ? "old.\"OpportunityId\"" : "new.\"OpportunityId\"";

    buf_printf(sql,
               "create temp trigger \"Opportunity: %s line\" after %s "
               "on main.\"OpportunityLineItem\" begin "
               "insert into sandbox_change (object, id, change, fields) "
               "select 'Opportunity', o.\"Id\", %d, 'LastModifiedDate' || "
               "iif(o.\"Amount\" is not s.a, ',Amount', '') || "
               "iif(o.\"TotalOpportunityQuantity\" is not s.q, ',TotalOpportunityQuantity', '') "
               "from \"Opportunity\" o, (",
               when, when, EVENTS_UPDATE);
    buf_printf(sql, sum_of_lines, id);
    buf_printf(sql,
               ") s where o.\"Id\" = %s and o.\"IsDeleted\" = 0 and s.n > 0 and sandbox_tells() "
               "and (o.\"Amount\" is not s.a or o.\"TotalOpportunityQuantity\" is not s.q); "
               "update \"Opportunity\" set \"Amount\" = iif(s.n > 0, s.a, \"Amount\"), "
               "\"TotalOpportunityQuantity\" = iif(s.n > 0, s.q, \"TotalOpportunityQuantity\"), "
               "\"HasOpportunityLineItem\" = s.n > 0, "
               "\"SystemModstamp\" = max(\"SystemModstamp\", %s.\"SystemModstamp\") from (",
               id, line);
    buf_printf(sql, sum_of_lines, id);
    buf_printf(sql, ") s where \"Id\" = %s and \"IsDeleted\" = 0; end; ", id);
}

bool sales_start(struct org *org, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, MAX_SQL_BYTES);
    write_trigger("insert", "new", &sql);
    write_trigger("update", "new", &sql);
    write_trigger("delete", "old", &sql);
    return store_run(org->store, sql.data, err);
}
