/*
 * The organisation: everything that outlives a request, and its clock.
 *
 * Plain data shared by the rooms of the sandbox; each room keeps its own part behind its own
 * pointer. The clock is the machine's plus what the fault door added, in whole seconds.
 */
#ifndef PGFORCE_SANDBOX_ORG_H
#define PGFORCE_SANDBOX_ORG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/ids.h"
#include "sandbox/schema.h"
#include "sandbox/store.h"

enum { ORG_MAX_OBJECT_FILES = 100, ORG_API_MAX = 1000000 };

/* What a new organisation is filled with (seed.h). */
enum { ORG_SEED_KINDS = 5 };
struct org_seed {
    int64_t number;
    int64_t counts[ORG_SEED_KINDS]; /* accounts, contacts, opportunities, leads, cases */
};

struct org_options {
    const char *listen;
    const char *data; /* NULL: memory */
    const char *object_files[ORG_MAX_OBJECT_FILES];
    size_t object_file_count;
    const char *client_id;
    const char *client_secret;
    const char *username;
    const char *password;
    const char *access_token; /* NULL: none is fixed */
    const char *refresh_token;
    bool rotates_refresh_tokens; /* one that was used is dead, the answer has the next */
    const char *port_file;
    struct org_seed seed;
    const char *currencies;      /* NULL: one, unnamed (currencies.h) */
    const char *jwt_certificate; /* NULL: signatures are not looked at */
};

struct sessions; /* oauth.c */
struct cursors;  /* query.c */
struct faults;   /* faults.c */
struct journal;  /* journal.c */
struct bulk;     /* bulk_jobs.c */
struct events;   /* events.c */
struct oauth_codes;
struct recent;      /* recent.c */
struct async;       /* async_jobs.c */
struct rules;       /* rules.c */
struct limits;      /* limits.c */
struct locks;       /* locks.c */
struct users;       /* users.c */
struct formulas;    /* formulas.c */
struct evp_pkey_st; /* OpenSSL's */
struct cometd_clients;
struct door_state;

struct org {
    struct org_options options;
    json_t *record_types; /* the rows of RecordType that were asked for (record_types.h) */
    struct schema *schema;
    struct store *store;
    struct sessions *sessions;
    struct cursors *cursors;
    struct faults *faults;
    struct journal *journal;
    struct bulk *bulk;
    struct oauth_codes *oauth_codes;
    struct recent *recent;
    struct rules *rules;
    struct limits *limits;
    struct locks *locks;
    struct users *users;
    struct user *user; /* whose call this is */
    struct formulas *formulas;
    struct async *async;
    struct evp_pkey_st *jwt_key; /* NULL: any signature will do */
    struct events *events;
    struct cometd_clients *cometd;
    struct door_state *snapshots;
    char *base_url;      /* "http://127.0.0.1:8080" */
    const char *org_id;  /* born rows: number 0 of their object, */
    const char *user_id; /* which the counters never hand out; of the present user */
    struct ids_text birth_ids[2];
    int64_t clock_offset_s;
    int64_t call_s; /* the machine's clock when the call began, for all that it does; 0: no call */
    int64_t api_used;
    int64_t api_max;
    bool masks_secrets;    /* the user may not see encrypted fields */
    int64_t commit_lag_s;  /* rows are stamped so long before they are seen */
    int64_t bin_emptied_s; /* when deletions before were forgotten; 0 for never */
    int64_t page_rows;     /* of a query, whatever the client asks; 0 for what it asks */
    int64_t schema_modified_s;
};

bool org_open(const struct org_options *options, struct org **org, struct error *err);
void org_close(struct org *org);

int64_t org_now(const struct org *org);

/* What a row saved now is stamped with: earlier, where rows are to be seen late. */
int64_t org_stamp(const struct org *org);

/* Takes a definition (schema.h), widens the tables, and with is_kept stores it in the data file. */
bool org_define(struct org *org, const json_t *definition, bool is_kept, struct error *err);

/* Empties every table and puts back the rows an organisation is born with. */
bool org_reset(struct org *org, struct error *err);

#endif
