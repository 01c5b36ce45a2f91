/*
 * The users of the organisation: who may sign in, and what each may see and do.
 *
 * Two are born with it: the administrator of the command line, who may do everything, and one who
 * lacks View Encrypted Data. Others come through the fault door, each with a row of User. While a
 * call is worked on the schema shows what its user may see: users_become marks the fields and
 * objects, and the next one takes the marks away. What belongs to a user is kept with the data.
 *
 *     {"username": "rita@sandbox.example", "password": "...", "access_token": "00D...!...",
 *      "view_encrypted": false, "daily_requests": 100, "logins_per_hour": 3600,
 *      "objects": {"Account": {"read": true, "create": false, "edit": false, "delete": false,
 *                              "view_all": false}},
 *      "fields": {"Account.Phone": "hidden", "Account.Fax": "read"}}
 */
#ifndef PGFORCE_SANDBOX_USERS_H
#define PGFORCE_SANDBOX_USERS_H

#include "sandbox/call.h"

struct user {
    struct ids_text id;
    json_t *settings;
    bool is_masked; /* without View Encrypted Data */
    int64_t call_day;
    int64_t call_count;
    int64_t login_hour;
    int64_t login_count;
};

struct users *users_new(void);
void users_free(struct users *users);

/* What the data file holds; the administrator comes first. */
bool users_load(struct org *org, struct error *err);

/* Only those of birth are left. */
bool users_reset(struct org *org, struct error *err);

/* NULL: there is no such user. A password may be followed by a security token. */
struct user *users_find(struct org *org, const char *username);
struct user *users_find_id(struct org *org, const char *id);
struct user *users_find_token(struct org *org, const char *access_token);
bool users_has_password(const struct user *user, const char *password);

/* A text of the settings; "" where there is none. */
const char *users_text(const struct user *user, const char *key);

/* "Ada Admin" */
const char *users_full_name(struct arena *arena, const struct user *user);

/* From now on calls are this user's; NULL is the administrator. */
void users_become(struct org *org, struct user *user);

/* False when the user has called, or signed in, too often. */
bool users_count_call(struct org *org);
bool users_count_login(struct org *org);

/* Adds a user or changes the one of that name. NULL, or what is wrong with the settings. */
const char *users_set(struct call *call, const json_t *settings);
json_t *users_list(const struct org *org);

#endif
