#include "sandbox/users.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/events.h"
#include "sandbox/rights.h"
#include "sandbox/save.h"

enum { MAX_USERS = 200, HOUR_S = 3600, DAY_S = 24 * HOUR_S, LOGINS_PER_HOUR = 3600 };

struct users {
    struct user *list[MAX_USERS];
    size_t count;
    struct rights rights; /* what the present user's cost */
};

struct users *users_new(void)
{
    return memory_alloc(sizeof(struct users));
}

static void forget(struct users *users)
{
    while (users->count > 0) {
        struct user *user = users->list[--users->count];

        json_decref(user->settings);
        free(user);
    }
}

void users_free(struct users *users)
{
    if (users == NULL)
        return;
    forget(users);
    free(users);
}

/* Takes over the settings. */
static struct user *add(struct users *users, const char *id, json_t *settings)
{
    struct user *user = memory_alloc(sizeof(*user));

    ids_normalize(id, &user->id);
    user->settings = settings;
    user->is_masked = json_is_false(json_object_get(settings, "view_encrypted"));
    users->list[users->count++] = user;
    return user;
}

static void add_administrator(struct org *org)
{
    const struct org_options *options = &org->options;
    json_t *settings = json_pack("{s:s, s:s, s:s, s:s}", "username", options->username, "password",
                                 options->password, "first_name", "Ada", "last_name", "Admin");

    if (options->access_token != NULL)
        json_object_set_new(settings, "access_token", json_string(options->access_token));
    add(org->users, org->birth_ids[1].text, settings);
}

/* ---- keeping ---- */

static bool add_kept(void *context, sqlite3_stmt *row, struct error *err)
{
    struct users *users = context;
    json_t *settings = json_loads((const char *)sqlite3_column_text(row, 1), 0, NULL);

    (void)err;
    if (settings != NULL && users->count < MAX_USERS)
        add(users, (const char *)sqlite3_column_text(row, 0), settings);
    return true;
}

static bool read_kept(struct org *org, struct error *err)
{
    return store_each(org->store, "select id, settings from sandbox_user order by id", add_kept,
                      org->users, err);
}

bool users_load(struct org *org, struct error *err)
{
    rights_take_back(&org->users->rights);
    org->user = NULL;
    forget(org->users);
    add_administrator(org);
    users_become(org, NULL);
    return store_run(org->store,
                     "create table if not exists sandbox_user ("
                     " id text primary key, settings text not null) without rowid",
                     err) &&
           read_kept(org, err);
}

static bool keep(struct org *org, const struct user *user, struct error *err)
{
    char *text = json_dumps(user->settings, JSON_COMPACT);
    struct value values[] = {value_text(user->id.text), value_text(text)};
    bool is_kept = store_change(org->store, "insert or replace into sandbox_user values (?, ?)",
                                values, 2, err);

    free(text);
    return is_kept;
}

/* ---- finding ---- */

const char *users_text(const struct user *user, const char *key)
{
    const char *text = json_string_value(json_object_get(user->settings, key));

    return text != NULL ? text : "";
}

const char *users_full_name(struct arena *arena, const struct user *user)
{
    const char *first = users_text(user, "first_name");

    return arena_printf(arena, "%s%s%s", first, *first != '\0' ? " " : "",
                        users_text(user, "last_name"));
}

struct user *users_find(struct org *org, const char *username)
{
    for (size_t i = 0; i < org->users->count; i++)
        if (strcasecmp(users_text(org->users->list[i], "username"), username) == 0)
            return org->users->list[i];
    return NULL;
}

struct user *users_find_id(struct org *org, const char *id)
{
    for (size_t i = 0; i < org->users->count; i++)
        if (strcmp(org->users->list[i]->id.text, id) == 0)
            return org->users->list[i];
    return NULL;
}

struct user *users_find_token(struct org *org, const char *access_token)
{
    for (size_t i = 0; *access_token != '\0' && i < org->users->count; i++)
        if (strcmp(users_text(org->users->list[i], "access_token"), access_token) == 0)
            return org->users->list[i];
    return NULL;
}

bool users_has_password(const struct user *user, const char *password)
{
    const char *own = users_text(user, "password");

    return *own != '\0' && strncmp(password, own, strlen(own)) == 0;
}

/* ---- the present user ---- */

void users_become(struct org *org, struct user *user)
{
    if (user == NULL && org->users->count > 0)
        user = org->users->list[0];
    if (user == org->user)
        return;
    rights_take_back(&org->users->rights);
    org->user = user;
    if (user == NULL)
        return;
    org->user_id = user->id.text;
    rights_apply(&org->users->rights, org->schema, user->settings);
}

static int64_t get_limit(const struct user *user, const char *key, int64_t otherwise)
{
    const json_t *limit = json_object_get(user->settings, key);

    return json_is_integer(limit) ? json_integer_value(limit) : otherwise;
}

/* One more in this period; false when that is too many. */
static bool count_one(int64_t period, int64_t *own_period, int64_t *count, int64_t limit)
{
    if (*own_period != period)
        *count = 0;
    *own_period = period;
    if (*count >= limit)
        return false;
    (*count)++;
    return true;
}

bool users_count_call(struct org *org)
{
    struct user *user = org->user;

    return count_one(org_now(org) / DAY_S, &user->call_day, &user->call_count,
                     get_limit(user, "daily_requests", INT64_MAX));
}

bool users_count_login(struct org *org)
{
    struct user *user = org->user;

    return count_one(org_now(org) / HOUR_S, &user->login_hour, &user->login_count,
                     get_limit(user, "logins_per_hour", LOGINS_PER_HOUR));
}

/* ---- changing ---- */

/* NULL where the organisation has no such profile. */
static const char *find_profile(struct call *call)
{
    struct store_search search = {.object = schema_find(call->org->schema, "Profile"),
                                  .value = value_text("Standard User")};
    struct error ignored = {0};

    search.field = schema_field(search.object, "Name");
    return store_find(call->org->store, call->arena, &search, &ignored) && search.count > 0
               ? search.ids[0]
               : NULL;
}

/* The row of User: the one that has the name, or a new one. */
static const char *make_row(struct call *call, const struct user *user, const char **id)
{
    const struct object *object = schema_find(call->org->schema, "User");
    struct save save;
    struct error err = {0};
    const char *username = users_text(user, "username");

    save_init(&save, call->org, call->arena, object);
    if (!save_find(&save, schema_field(object, "Username"), username, &err))
        return arena_strdup(call->arena, err.message);
    *id = save.id;
    if (save.id != NULL)
        return NULL;
    save.is_missing = false;
    json_t *fields =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "Username", username, "Email", username,
                  "FirstName", users_text(user, "first_name"), "LastName",
                  users_text(user, "last_name"), "Alias", "user", "ProfileId", find_profile(call));
    bool is_saved = save_insert(&save, fields, &err);
    json_decref(fields);
    if (!is_saved)
        return arena_strdup(call->arena, err.message);
    *id = save.id;
    return errors_is_empty(&save.errors) ? NULL : save.errors.first->message;
}

static void set_default(json_t *settings, const char *key, const char *text)
{
    if (!json_is_string(json_object_get(settings, key)))
        json_object_set_new(settings, key, json_string(text));
}

static void replace(struct user *user, json_t *settings)
{
    json_decref(user->settings);
    user->settings = settings;
    user->is_masked = json_is_false(json_object_get(settings, "view_encrypted"));
}

static const char *add_new(struct call *call, json_t *settings)
{
    struct users *users = call->org->users;
    struct user draft = {.settings = settings};
    const char *id = NULL;

    if (users->count == MAX_USERS)
        return "there are at most 200 users";
    const char *problem = make_row(call, &draft, &id);
    if (problem == NULL)
        add(users, id, settings);
    return problem;
}

const char *users_set(struct call *call, const json_t *settings)
{
    struct org *org = call->org;
    const char *username = json_string_value(json_object_get(settings, "username"));
    const char *problem = rights_check(org->schema, settings);
    struct error err = {0};

    if (problem != NULL)
        return problem;
    if (username == NULL || strchr(username, '@') == NULL)
        return "\"username\" must look like an e-mail address";
    struct user *user = users_find(org, username);
    if (user != NULL && user == org->users->list[0])
        return "the administrator may do everything, and is named on the command line";
    json_t *copy = json_deep_copy(settings);
    set_default(copy, "password", org->options.password);
    set_default(copy, "first_name", "Uma");
    set_default(copy, "last_name", "User");
    org->schema_modified_s = org_now(org);
    if (user != NULL)
        replace(user, copy);
    else if ((problem = add_new(call, copy)) != NULL) {
        json_decref(copy);
        return problem;
    }
    return keep(org, users_find(org, username), &err) ? NULL
                                                      : arena_strdup(call->arena, err.message);
}

static bool bear(struct org *org, struct error *err)
{
    struct call call = {.org = org, .arena = arena_new()};
    json_t *settings =
        json_pack("{s:s, s:b}", "username", "user@sandbox.example", "view_encrypted", 0);
    const char *problem = users_set(&call, settings);

    if (problem != NULL)
        error_set(err, ERROR_BUG, "%s", problem);
    json_decref(settings);
    arena_free(call.arena);
    return problem == NULL;
}

bool users_reset(struct org *org, struct error *err)
{
    return store_run(org->store, "delete from sandbox_user", err) && users_load(org, err) &&
           bear(org, err) && events_reset(org, err);
}

json_t *users_list(const struct org *org)
{
    json_t *list = json_array();

    for (size_t i = 0; i < org->users->count; i++) {
        const struct user *user = org->users->list[i];
        json_t *shown = json_copy(user->settings);

        json_object_del(shown, "password");
        json_object_del(shown, "access_token");
        json_object_set_new(shown, "id", json_string(user->id.text));
        json_object_set_new(shown, "requests", json_integer(user->call_count));
        json_array_append_new(list, shown);
    }
    return list;
}
