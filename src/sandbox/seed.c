#include "sandbox/seed.h"

#include <string.h>

#include "sandbox/follows.h"
#include "sandbox/ids.h"
#include "sandbox/times.h"

enum { DAY_S = 86400, DAYS = 730, MAX_CITIES = 16 };

/* 2024-01-01T00:00:00Z */
static const int64_t first_second = 1704067200;

static const char *const first_names[] = {
    "Ada",   "Alan",  "Amina",  "Anders", "Beatriz", "Chen",   "Clara", "Daniel",
    "Elena", "Emeka", "Fatima", "Grace",  "Hiro",    "Ingrid", "Ivan",  "Jamal",
    "Jane",  "José",  "Kofi",   "Laura",  "Liam",    "Lucía",  "Maria", "Mehmet",
    "Noor",  "Olga",  "Priya",  "Rahul",  "Sofia",   "Tomás",  "Yuki",  "Zoë"};
static const char *const last_names[] = {
    "Abe",     "Andersson", "Bauer",  "Brown",    "Castillo", "Chen",   "Costa",   "Diallo",
    "Dubois",  "Fischer",   "García", "Haddad",   "Hansen",   "Ito",    "Ivanova", "Jansen",
    "Johnson", "Kaya",      "Khan",   "Kowalski", "Lee",      "Martin", "Mbeki",   "Müller",
    "Nguyen",  "O'Brien",   "Okafor", "Patel",    "Rossi",    "Silva",  "Smith",   "Zhang"};
static const char *const stems[] = {
    "Alder",  "Arctic",    "Beacon",  "Blue Harbor", "Cedar",   "Copper",   "Delta",    "Eastgate",
    "Falcon", "Granite",   "Harvest", "Ironwood",    "Juniper", "Keystone", "Lakeside", "Meridian",
    "Nimbus", "Northwind", "Oakmont", "Pioneer",     "Quartz",  "Redwood",  "Summit",   "Vertex"};
static const char *const branches[] = {
    "Logistics", "Systems", "Foods",     "Energy", "Textiles", "Pharma", "Robotics", "Media",
    "Insurance", "Optics",  "Machinery", "Travel", "Software", "Metals", "Design",   "Labs"};
static const char *const forms[] = {"Inc.", "Ltd", "GmbH", "SA", "LLC", "& Co."};
static const char *const streets[] = {"Main Street",   "Station Road", "Harbour Lane",
                                      "Market Square", "Mill Road",    "Park Avenue",
                                      "Church Street", "High Street"};
static const char *const titles[] = {"CEO",        "CFO",      "VP Sales",  "Buyer",
                                     "IT Manager", "Engineer", "Assistant", "Head of Operations"};
static const char *const departments[] = {"Finance", "Sales", "Purchasing", "IT", "Operations"};
static const char *const subjects[] = {"Does not start", "Question about the invoice",
                                       "Late delivery",  "Broken on arrival",
                                       "Login refused",  "Manual is missing"};

static const struct city {
    const char *name, *state, *postal_code, *country, *dial;
} cities[] = {
    {"San Francisco", "CA", "94105", "US", "+1 415"},
    {"Chicago", "IL", "60601", "US", "+1 312"},
    {"Austin", "TX", "73301", "US", "+1 512"},
    {"Boston", "MA", "02108", "US", "+1 617"},
    {"London", NULL, "EC1A 1BB", "UK", "+44 20"},
    {"Dublin", NULL, "D02 X285", "Ireland", "+353 1"},
    {"Paris", NULL, "75001", "France", "+33 1"},
    {"Berlin", NULL, "10115", "Germany", "+49 30"},
    {"Zürich", "ZH", "8001", "Switzerland", "+41 44"},
    {"Madrid", NULL, "28001", "Spain", "+34 91"},
    {"Milano", "MI", "20121", "Italy", "+39 02"},
    {"Tokyo", NULL, "100-0001", "Japan", "+81 3"},
    {"Lagos", NULL, "100001", "Nigeria", "+234 1"},
    {"Mumbai", "MH", "400001", "India", "+91 22"},
    {"São Paulo", "SP", "01310-100", "Brazil", "+55 11"},
    {"Sydney", "NSW", "2000", "Australia", "+61 2"},
};

#define COUNT(array)        (sizeof(array) / sizeof((array)[0]))
#define PICK(seeder, array) ((array)[draw((seeder), COUNT(array))])

/* One record on its way. */
struct seeder {
    struct org *org;
    struct arena *arena; /* of the row */
    const struct object *object;
    const struct field *field;  /* the one being made */
    const struct value *values; /* what is made so far */
    uint64_t state;
    int64_t number;        /* from 1 */
    int64_t first_account; /* what the accounts' numbers begin with */
    int64_t account_count;
    int64_t created_s;
    const char *first;
    const char *last;
    const char *company;
    const struct city *city;
};

/* splitmix64: the same everywhere. */
static uint64_t next_random(struct seeder *seeder)
{
    uint64_t z = seeder->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t draw(struct seeder *seeder, size_t choices)
{
    return (size_t)(next_random(seeder) % choices);
}

/* ---- values ---- */

static struct value nothing(void)
{
    return (struct value){.kind = VALUE_NULL};
}

static struct value make_first(struct seeder *seeder)
{
    return value_text(seeder->first);
}

static struct value make_last(struct seeder *seeder)
{
    return value_text(seeder->last);
}

static struct value make_full(struct seeder *seeder)
{
    return value_text(arena_printf(seeder->arena, "%s %s", seeder->first, seeder->last));
}

static struct value make_company(struct seeder *seeder)
{
    return value_text(seeder->company);
}

static struct value make_deal(struct seeder *seeder)
{
    return value_text(
        arena_printf(seeder->arena, "%s, order %lld", seeder->company, (long long)seeder->number));
}

static struct value make_email(struct seeder *seeder)
{
    return value_text(arena_printf(seeder->arena, "person%lld@example%zu.com",
                                   (long long)seeder->number, draw(seeder, 100)));
}

static struct value make_website(struct seeder *seeder)
{
    return value_text(arena_printf(seeder->arena, "https://www.company%lld.example.com",
                                   (long long)seeder->number));
}

static struct value make_phone(struct seeder *seeder)
{
    return value_text(
        arena_printf(seeder->arena, "%s 555 %04zu", seeder->city->dial, draw(seeder, 10000)));
}

static struct value make_key(struct seeder *seeder)
{
    return value_text(arena_printf(seeder->arena, "%.3s-%09lld", seeder->object->name,
                                   (long long)seeder->number));
}

static struct value make_street(struct seeder *seeder)
{
    return value_text(
        arena_printf(seeder->arena, "%zu %s", 1 + draw(seeder, 200), PICK(seeder, streets)));
}

static struct value make_city(struct seeder *seeder)
{
    return value_text(seeder->city->name);
}

static struct value make_state(struct seeder *seeder)
{
    return value_text(seeder->city->state);
}

static struct value make_postal_code(struct seeder *seeder)
{
    return value_text(seeder->city->postal_code);
}

static struct value make_country(struct seeder *seeder)
{
    return value_text(seeder->city->country);
}

static struct value make_title(struct seeder *seeder)
{
    return value_text(PICK(seeder, titles));
}

static struct value make_department(struct seeder *seeder)
{
    return value_text(PICK(seeder, departments));
}

static struct value make_subject(struct seeder *seeder)
{
    return value_text(PICK(seeder, subjects));
}

/* One of the field's own values; a tenth of the records have none where none is allowed. */
static struct value make_listed(struct seeder *seeder)
{
    size_t choice = draw(seeder, seeder->field->picklist_count);

    if (seeder->field->is_nillable && draw(seeder, 10) == 0)
        return nothing();
    return value_text(seeder->field->picklist[choice].value);
}

static struct value make_followed(struct seeder *seeder)
{
    const struct follows *follows = seeder->field->follows;
    const struct field *other = schema_field(seeder->object, follows_field(follows));
    const char *text = NULL;

    if (!follows_answer(follows, seeder->values[other->index].text, NULL, &text) || text == NULL)
        return nothing();
    if (seeder->field->type->kind == KIND_REAL)
        return value_real(strtod(text, NULL));
    return value_text(text);
}

static struct value make_revenue(struct seeder *seeder)
{
    return value_real((double)(1 + draw(seeder, 5000)) * 10000);
}

static struct value make_amount(struct seeder *seeder)
{
    return value_real((double)(100 + draw(seeder, 200000)) / 2);
}

static struct value make_headcount(struct seeder *seeder)
{
    return value_integer((int64_t)(1 + draw(seeder, 5000)));
}

static struct value make_close_date(struct seeder *seeder)
{
    int64_t seconds = seeder->created_s + (int64_t)draw(seeder, 180) * DAY_S;

    return value_text(arena_strdup(seeder->arena, times_format_date(seconds).text));
}

static struct value make_account(struct seeder *seeder)
{
    if (seeder->account_count == 0)
        return nothing();
    int64_t number = seeder->first_account + (int64_t)draw(seeder, (size_t)seeder->account_count);
    return value_text(arena_strdup(seeder->arena, ids_make("001", number).text));
}

static struct value make_case_number(struct seeder *seeder)
{
    return value_text(arena_printf(seeder->arena, "%08lld", (long long)seeder->number));
}

static struct value make_created(struct seeder *seeder)
{
    return value_text(arena_strdup(seeder->arena, times_format_datetime(seeder->created_s).text));
}

static struct value make_modified(struct seeder *seeder)
{
    int64_t end_s = first_second + (int64_t)DAYS * DAY_S;
    size_t span = (size_t)(end_s - seeder->created_s);

    return value_text(
        arena_strdup(seeder->arena,
                     times_format_datetime(seeder->created_s + (int64_t)draw(seeder, span)).text));
}

static struct value make_stamp(struct seeder *seeder)
{
    return seeder->values[schema_field(seeder->object, "LastModifiedDate")->index];
}

/* ---- which field is made how ---- */

struct column {
    const char *field;
    struct value (*make)(struct seeder *seeder);
};

static const struct column account_columns[] = {{"Name", make_company},
                                                {"Type", make_listed},
                                                {"BillingStreet", make_street},
                                                {"BillingCity", make_city},
                                                {"BillingState", make_state},
                                                {"BillingPostalCode", make_postal_code},
                                                {"BillingCountry", make_country},
                                                {"Phone", make_phone},
                                                {"Website", make_website},
                                                {"Industry", make_listed},
                                                {"AnnualRevenue", make_revenue},
                                                {"NumberOfEmployees", make_headcount},
                                                {"Ownership", make_listed},
                                                {"Rating", make_listed},
                                                {"AccountSource", make_listed},
                                                {"External_Id__c", make_key},
                                                {NULL, NULL}};
static const struct column contact_columns[] = {{"FirstName", make_first},
                                                {"LastName", make_last},
                                                {"Name", make_full},
                                                {"AccountId", make_account},
                                                {"Email", make_email},
                                                {"Phone", make_phone},
                                                {"Title", make_title},
                                                {"Department", make_department},
                                                {"MailingStreet", make_street},
                                                {"MailingCity", make_city},
                                                {"MailingState", make_state},
                                                {"MailingPostalCode", make_postal_code},
                                                {"MailingCountry", make_country},
                                                {"LeadSource", make_listed},
                                                {"External_Id__c", make_key},
                                                {NULL, NULL}};
static const struct column opportunity_columns[] = {{"Name", make_deal},
                                                    {"AccountId", make_account},
                                                    {"StageName", make_listed},
                                                    {"Probability", make_followed},
                                                    {"ForecastCategoryName", make_followed},
                                                    {"Amount", make_amount},
                                                    {"CloseDate", make_close_date},
                                                    {"Type", make_listed},
                                                    {"LeadSource", make_listed},
                                                    {"External_Id__c", make_key},
                                                    {NULL, NULL}};
static const struct column lead_columns[] = {{"FirstName", make_first},
                                             {"LastName", make_last},
                                             {"Name", make_full},
                                             {"Company", make_company},
                                             {"Email", make_email},
                                             {"Phone", make_phone},
                                             {"Street", make_street},
                                             {"City", make_city},
                                             {"State", make_state},
                                             {"PostalCode", make_postal_code},
                                             {"Country", make_country},
                                             {"Title", make_title},
                                             {"LeadSource", make_listed},
                                             {"Industry", make_listed},
                                             {"Rating", make_listed},
                                             {"External_Id__c", make_key},
                                             {NULL, NULL}};
static const struct column case_columns[] = {{"CaseNumber", make_case_number},
                                             {"AccountId", make_account},
                                             {"Subject", make_subject},
                                             {"Origin", make_listed},
                                             {"Priority", make_listed},
                                             {"Reason", make_listed},
                                             {"Type", make_listed},
                                             {"External_Id__c", make_key},
                                             {NULL, NULL}};

static const struct column audit_columns[] = {{"CreatedDate", make_created},
                                              {"LastModifiedDate", make_modified},
                                              {"SystemModstamp", make_stamp},
                                              {NULL, NULL}};

/* In the order in which they are made: accounts first, the others refer to them. */
static const struct kind {
    const char *object;
    const struct column *columns;
    int64_t per_hundred; /* of the accounts */
} kinds[ORG_SEED_KINDS] = {
    {"Account", account_columns, 100},
    {"Contact", contact_columns, 200},
    {"Opportunity", opportunity_columns, 50},
    {"Lead", lead_columns, 50},
    {"Case", case_columns, 25},
};

/* ---- rows ---- */

static void begin_row(struct seeder *seeder, struct value *values)
{
    size_t count = COUNT(cities);

    seeder->values = values;
    seeder->created_s = first_second + (int64_t)draw(seeder, (size_t)DAYS * DAY_S);
    seeder->first = PICK(seeder, first_names);
    seeder->last = PICK(seeder, last_names);
    seeder->company = arena_printf(seeder->arena, "%s %s %s", PICK(seeder, stems),
                                   PICK(seeder, branches), PICK(seeder, forms));
    seeder->city = &cities[draw(seeder, count)];
}

static void make_all(struct seeder *seeder, const struct column *columns, struct value *values)
{
    for (; columns->field != NULL; columns++) {
        seeder->field = schema_field(seeder->object, columns->field);
        values[seeder->field->index] = columns->make(seeder);
    }
}

/* What all rows have alike. */
static void set_common(const struct seeder *seeder, struct value *values)
{
    for (size_t i = 0; i < seeder->object->field_count; i++) {
        const struct field *field = seeder->object->fields[i];
        const char *text = field->default_text;

        if (field->type->kind == KIND_BOOLEAN)
            values[i] = value_integer(text != NULL && strcmp(text, "true") == 0);
        else if (field->type->kind == KIND_TEXT)
            values[i] = value_text(text);
        else if (field->reference_count > 0 && !field->is_nillable)
            values[i] = value_text(seeder->org->user_id);
    }
}

static bool insert_row(struct seeder *seeder, const struct kind *kind, const struct value *common,
                       int64_t number, struct error *err)
{
    size_t count = seeder->object->field_count;
    struct value *values = arena_array(seeder->arena, struct value, count);
    struct ids_text id = ids_make(seeder->object->key_prefix, number);
    struct store_row row = {.object = seeder->object, .id = id.text, .values = values};

    memcpy(values, common, count * sizeof(*values));
    values[schema_field(seeder->object, "Id")->index] = value_text(id.text);
    begin_row(seeder, values);
    make_all(seeder, kind->columns, values);
    make_all(seeder, audit_columns, values);
    return store_insert(seeder->org->store, &row, err);
}

static bool insert_kind(struct seeder *seeder, const struct kind *kind, int64_t count,
                        struct error *err)
{
    struct arena *arena = arena_new();
    int64_t first = 0;

    seeder->object = schema_find(seeder->org->schema, kind->object);
    struct value *common = arena_array(arena, struct value, seeder->object->field_count);
    set_common(seeder, common);
    bool is_done = store_take_numbers(seeder->org->store, seeder->object, count, &first, err);
    if (seeder->account_count == 0 && kind == kinds) {
        seeder->first_account = first;
        seeder->account_count = count;
    }
    for (int64_t i = 0; i < count && is_done; i++) {
        seeder->number = i + 1;
        is_done = insert_row(seeder, kind, common, first + i, err);
        arena_reset(seeder->arena);
    }
    arena_free(arena);
    return is_done;
}

void seed_complete(struct org_seed *seed)
{
    int64_t accounts = seed->counts[0] > 0 ? seed->counts[0] : 0;

    for (size_t i = 0; i < ORG_SEED_KINDS; i++)
        if (seed->counts[i] < 0)
            seed->counts[i] = accounts * kinds[i].per_hundred / 100;
}

bool seed_run(struct org *org, const struct org_seed *seed, struct error *err)
{
    struct seeder seeder = {.org = org, .arena = arena_new(), .state = (uint64_t)seed->number};
    struct error ignored = {0};
    bool is_done = store_begin(org->store, err);

    for (size_t i = 0; i < ORG_SEED_KINDS && is_done; i++)
        if (seed->counts[i] > 0)
            is_done = insert_kind(&seeder, &kinds[i], seed->counts[i], err);
    is_done = is_done && store_commit(org->store, err);
    if (!is_done)
        store_rollback(org->store, &ignored);
    arena_free(seeder.arena);
    return is_done;
}
