#include "sandbox/search.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/query.h"
#include "sandbox/search_words.h"

enum {
    MAX_SOQL_BYTES = 100000,
    MAX_TARGETS = 20,
    MAX_SEARCHED = 200,
    MAX_ROWS = 2000,
    MAX_TEXT_BYTES = 10000,
};

/* RETURNING Account(Id, Name WHERE ...) */
struct target {
    const struct object *object;
    const char *fields;  /* "Id" when none are named */
    const char *clauses; /* behind the fields: WHERE, ORDER BY, LIMIT; "" for none */
};

struct search {
    struct call *call;
    const char *text;  /* what is left to be read */
    const char *words; /* between the braces */
    const char *scope; /* ALL, NAME, EMAIL, PHONE or SIDEBAR */
    struct target targets[MAX_TARGETS];
    size_t target_count;
    long limit;
};

static bool refuse(struct search *search, const char *message)
{
    call_error(search->call, "MALFORMED_SEARCH", "%s", message);
    return false;
}

/* ---- reading ---- */

static void skip_blanks(struct search *search)
{
    search->text += strspn(search->text, " \t\r\n");
}

static bool accept_word(struct search *search, const char *word)
{
    size_t length = strlen(word);

    skip_blanks(search);
    if (strncasecmp(search->text, word, length) != 0 ||
        strspn(search->text + length, " \t\r\n{(,") == 0)
        if (search->text[length] != '\0' || strcasecmp(search->text, word) != 0)
            return false;
    search->text += length;
    return true;
}

static const char *take(struct search *search, const char *ends)
{
    skip_blanks(search);
    size_t length = strcspn(search->text, ends);
    const char *word = arena_strndup(search->call->arena, search->text, length);
    search->text += length;
    return word;
}

/* The text between braces; a backslash keeps the sign behind it. */
static bool read_words(struct search *search)
{
    skip_blanks(search);
    const char *start = search->text + 1;
    size_t length = 0;

    if (*search->text != '{')
        return refuse(search, "FIND must be followed by what to find, in braces");
    while (start[length] != '\0' && start[length] != '}')
        length += start[length] == '\\' && start[length + 1] != '\0' ? 2 : 1;
    if (start[length] != '}')
        return refuse(search, "unexpected token: '<EOF>'");
    if (length > MAX_TEXT_BYTES)
        return refuse(search, "the search term is longer than 10000 characters");
    search->words = arena_strndup(search->call->arena, start, length);
    search->text = start + length + 1;
    return true;
}

/* Where the fields end: the first word of a clause, outside of quotes. */
static size_t find_clause(const char *text)
{
    static const char *const words[] = {"WHERE ", "ORDER ", "LIMIT ", "OFFSET ", "USING "};

    for (size_t i = 0; text[i] != '\0'; i++)
        for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
            if ((i == 0 || strchr(" \t\r\n", text[i - 1]) != NULL) &&
                strncasecmp(text + i, words[j], strlen(words[j])) == 0)
                return i;
    return strlen(text);
}

/* How long the text in parentheses is; quotes hide parentheses. */
static size_t find_close(const char *text)
{
    int depth = 0;
    bool is_quoted = false;
    size_t i = 0;

    for (; text[i] != '\0'; i++) {
        if (text[i] == '\\' && text[i + 1] != '\0') {
            i++;
            continue;
        }
        if (text[i] == '\'')
            is_quoted = !is_quoted;
        if (is_quoted)
            continue;
        if (text[i] == ')' && depth-- == 0)
            return i;
        depth += text[i] == '(';
    }
    return i;
}

static bool read_target(struct search *search)
{
    struct arena *arena = search->call->arena;
    const char *name = take(search, " \t\r\n,(");
    struct target target = {.object = schema_find_visible(search->call->org->schema, name),
                            .fields = "Id",
                            .clauses = ""};

    if (target.object == NULL || search->target_count == MAX_TARGETS) {
        call_error(search->call, "INVALID_TYPE", "sObject type '%s' is not supported.", name);
        return false;
    }
    skip_blanks(search);
    if (*search->text == '(') {
        size_t length = find_close(search->text + 1);
        const char *inside = arena_strndup(arena, search->text + 1, length);
        size_t fields = find_clause(inside);

        search->text += length + 1;
        if (*search->text != ')')
            return refuse(search, "unexpected token: '<EOF>'");
        search->text++;
        target.fields = arena_strndup(arena, inside, fields);
        target.clauses = inside + fields;
    }
    search->targets[search->target_count++] = target;
    return true;
}

static bool read_targets(struct search *search)
{
    do {
        if (!read_target(search))
            return false;
        skip_blanks(search);
    } while (*search->text == ',' && search->text++ != NULL);
    return true;
}

static bool read_statement(struct search *search)
{
    search->scope = "ALL";
    if (!accept_word(search, "FIND"))
        return refuse(search, "unexpected token: a search begins with FIND");
    if (!read_words(search))
        return false;
    if (accept_word(search, "IN")) {
        search->scope = take(search, " \t\r\n");
        if (!accept_word(search, "FIELDS"))
            return refuse(search, "unexpected token: IN ends with FIELDS");
    }
    if (accept_word(search, "RETURNING") && !read_targets(search))
        return false;
    if (accept_word(search, "LIMIT"))
        search->limit = strtol(take(search, " \t\r\n"), NULL, 10);
    skip_blanks(search);
    if (*search->text != '\0')
        return refuse(
            search, arena_printf(search->call->arena, "unexpected token: '%.100s'", search->text));
    return true;
}

/* ---- searching ---- */

static bool is_in_scope(const struct search *search, const struct field *field)
{
    const char *type = field->type->name;

    if (field->type->kind != KIND_TEXT || !field->is_filterable || field->is_hidden ||
        field->formula != NULL || field->picklist_count > 0)
        return false;
    if (strcasecmp(search->scope, "NAME") == 0)
        return field->is_name || (field->compound != NULL && strcmp(field->compound, "Name") == 0);
    if (strcasecmp(search->scope, "EMAIL") == 0)
        return strcmp(type, "email") == 0;
    if (strcasecmp(search->scope, "PHONE") == 0)
        return strcmp(type, "phone") == 0;
    return true;
}

/* The clauses: a WHERE takes the condition in, the others come behind it. */
static bool write_soql(struct search *search, const struct target *target, struct buf *soql)
{
    const char *fields[MAX_SEARCHED];
    size_t count = 0;
    struct buf condition BUF_AUTO = {0};

    for (size_t i = 0; i < target->object->field_count && count < MAX_SEARCHED; i++)
        if (is_in_scope(search, target->object->fields[i]))
            fields[count++] = target->object->fields[i]->name;
    if (count == 0)
        return false;
    buf_init(&condition, MAX_SOQL_BYTES);
    if (!search_words(&condition, search->words, fields, count))
        return false;
    bool has_where = strncasecmp(target->clauses, "WHERE ", 6) == 0;
    const char *rest = target->clauses + (has_where ? 6 : 0);
    size_t length = has_where ? find_clause(rest) : 0;
    buf_printf(soql, "SELECT %s FROM %s WHERE %s", target->fields, target->object->name,
               condition.data);
    if (has_where)
        buf_printf(soql, " AND (%.*s)", (int)length, rest);
    buf_printf(soql, " %s", rest + length);
    return true;
}

static bool append_rows(struct search *search, const struct soql_plan *plan, struct buf *out,
                        long *left)
{
    sqlite3_stmt *statement = NULL;
    struct error err = {0};
    bool is_done = query_prepare(search->call, plan, plan->sql, &statement, &err);

    while (is_done && *left > 0 && sqlite3_step(statement) == SQLITE_ROW) {
        buf_text(out, out->size_bytes > 0 ? "," : "");
        is_done = query_write_row(search->call, plan, statement, out, &err);
        (*left)--;
    }
    sqlite3_finalize(statement);
    if (!is_done)
        call_failed(search->call, &err);
    return is_done;
}

static bool search_target(struct search *search, const struct target *target, struct buf *out,
                          long *left)
{
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, MAX_SOQL_BYTES);
    if (!write_soql(search, target, &soql))
        return true;
    const struct soql_plan *plan = query_plan(search->call, search->call->arena, soql.data, false);
    return plan != NULL && append_rows(search, plan, out, left);
}

/* Without RETURNING, the objects that people look for. */
static void add_default_targets(struct search *search)
{
    static const char *const names[] = {"Account", "Contact", "Lead", "Opportunity", "Case"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct object *object = schema_find_visible(search->call->org->schema, names[i]);

        if (object != NULL)
            search->targets[search->target_count++] =
                (struct target){.object = object, .fields = "Id", .clauses = ""};
    }
}

static void run(struct search *search)
{
    struct buf *body = &search->call->response->body;
    struct buf rows BUF_AUTO = {0};
    long left = search->limit > 0 && search->limit < MAX_ROWS ? search->limit : MAX_ROWS;

    if (search->target_count == 0)
        add_default_targets(search);
    buf_init(&rows, body->max_bytes);
    for (size_t i = 0; i < search->target_count; i++)
        if (!search_target(search, &search->targets[i], &rows, &left))
            return;
    call_header(search->call, "Content-Type", "application/json;charset=UTF-8");
    buf_text(body, "{\"searchRecords\":[");
    buf_append(body, rows.data, rows.size_bytes);
    buf_text(body, "]}");
}

void search_get(struct call *call)
{
    struct search search = {.call = call, .text = http_server_param(call->request, "q")};

    if (search.text == NULL)
        refuse(&search, "The q parameter is required");
    else if (read_statement(&search))
        run(&search);
}

/* ---- without SOSL ---- */

static const char *list_names(struct call *call, const json_t *list)
{
    const char *names = NULL;
    size_t index;
    const json_t *name;

    json_array_foreach(list, index, name)
    {
        const char *text = json_string_value(name);

        if (text != NULL)
            names = names == NULL ? text : arena_printf(call->arena, "%s, %s", names, text);
    }
    return names;
}

static bool add_target(struct search *search, const char *name, const char *fields)
{
    const struct object *object = schema_find_visible(search->call->org->schema, name);

    if (object == NULL || search->target_count == MAX_TARGETS) {
        call_error(search->call, "INVALID_TYPE", "sObject type '%s' is not supported.", name);
        return false;
    }
    search->targets[search->target_count++] =
        (struct target){.object = object, .fields = fields != NULL ? fields : "Id", .clauses = ""};
    return true;
}

/* {"q": "Acme", "fields": ["Id"], "sobjects": [{"name": "Account", "fields": ["Id", "Name"]}]} */
static bool read_body(struct search *search, const json_t *body)
{
    const char *words = json_string_value(json_object_get(body, "q"));
    const char *scope = json_string_value(json_object_get(body, "in"));
    const char *fields = list_names(search->call, json_object_get(body, "fields"));
    size_t index;
    const json_t *each;

    search->words = words != NULL ? words : "";
    search->scope = scope != NULL ? scope : "ALL";
    search->limit = (long)json_integer_value(json_object_get(body, "overallLimit"));
    json_array_foreach(json_object_get(body, "sobjects"), index, each)
    {
        const char *name = json_string_value(json_object_get(each, "name"));
        const char *own = list_names(search->call, json_object_get(each, "fields"));

        if (!add_target(search, name != NULL ? name : "", own != NULL ? own : fields))
            return false;
    }
    return true;
}

static bool read_parameters(struct search *search)
{
    const struct http_server_request *request = search->call->request;
    const char *words = http_server_param(request, "q");
    const char *scope = http_server_param(request, "in");
    const char *limit = http_server_param(request, "overallLimit");

    search->words = words != NULL ? words : "";
    search->scope = scope != NULL ? scope : "ALL";
    search->limit = limit != NULL ? strtol(limit, NULL, 10) : 0;
    for (size_t i = 0; i < request->param_count; i++)
        if (strcmp(request->params[i].name, "sobject") == 0 &&
            !add_target(search, request->params[i].value, http_server_param(request, "fields")))
            return false;
    return true;
}

void search_parameterized(struct call *call)
{
    struct search search = {.call = call};
    bool is_body = strcmp(call->method, "POST") == 0;
    json_t *body = is_body ? call_body(call) : NULL;

    if (is_body && body == NULL)
        return;
    if (!(is_body ? read_body(&search, body) : read_parameters(&search)))
        return;
    if (*search.words == '\0')
        refuse(&search, "The q parameter is required");
    else
        run(&search);
}
