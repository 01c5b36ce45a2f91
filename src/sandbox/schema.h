/*
 * What the organisation knows: objects and their fields, read from JSON definitions.
 *
 * Shipped definitions are in objects/; a user's come from files or through the fault door, in the
 * same form, and may extend an object that exists. System fields (Id, IsDeleted, the audit fields,
 * Name and OwnerId of custom objects) are added by themselves. Nothing is ever moved: a pointer to
 * a field or an object stays valid as long as the schema, when it was removed too (redefine.h).
 */
#ifndef PGFORCE_SANDBOX_SCHEMA_H
#define PGFORCE_SANDBOX_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

struct follows; /* follows.h */

enum field_kind {
    KIND_TEXT,
    KIND_ID,
    KIND_BOOLEAN,
    KIND_INTEGER,
    KIND_REAL,
    KIND_DATE,
    KIND_DATETIME,
    KIND_TIME,
    KIND_COMPOUND
};

/* One row per describe type. */
struct field_type {
    const char *name;
    const char *soap_type;
    const char *apex_type; /* of columns=true */
    enum field_kind kind;
    int length; /* when a definition names none */
};

struct formula;
struct object;

struct picklist_value {
    const char *value;
    const char *label;
    bool is_active;
    bool is_default;
};

struct field {
    const struct field_type *type;
    size_t index; /* in its object */
    const char *name;
    const char *label;
    const char *help;
    const char *compound; /* the compound field this is a part of */
    const char *relationship;
    const char *child_relationship;
    const char *formula;      /* what it is computed by when it is read (formula.h) */
    struct formula *computed; /* the same, once bound (formulas.h) */
    const char *sql;          /* of a shipped field that follows from others: a generated column */
    const char *default_formula; /* of an insert that says nothing; describe shows it */
    struct formula *default_computed;
    struct rollup *rollup;         /* what it sums up of its details, or NULL */
    const char *auto_format;       /* "INV-{0000}" */
    const char *default_text;      /* what an insert gets when it says nothing; NULL is null */
    const struct follows *follows; /* another field's value, or NULL */
    const char **reference_to;
    size_t reference_count;
    struct picklist_value *picklist;
    size_t picklist_count;
    int length;
    int precision;
    int scale;
    int digits;
    bool is_custom;
    bool is_createable;
    bool is_updateable;
    bool is_nillable;
    bool is_defaulted_on_create;
    bool is_unique;
    bool is_case_sensitive;
    bool is_external_id;
    bool is_id_lookup;
    bool is_name;
    bool is_filterable;
    bool is_restricted_picklist;
    bool is_rich_text;
    bool is_hidden;       /* by field-level security: the door's doing, may change */
    bool is_gone;         /* removed: hidden for good, and its column empty */
    bool shows_last_four; /* of an encrypted text, to whom may not see it */
    bool keeps_blanks;    /* its formula does not take blank numbers for zeroes */
    bool cascades_delete;
    bool restricts_delete;
};

/* What a roll-up summary field sums up, and of which details; found by rollups.h. */
struct rollup {
    const char *operation;
    const char *key_name;
    const char *source_name;
    const char *filter_text;
    const char *items_text; /* the filter as JSON (rollup_filter.h), instead of the text */
    const struct object *detail;
    const struct field *key;    /* of the detail: its master */
    const struct field *source; /* NULL: the details are counted */
    struct formula *filter;     /* NULL: all of them */
    bool is_bound;
    bool is_started;
};

/* A record for which the formula is true is refused with `message`. */
struct validation_rule {
    const char *text;
    struct formula *condition; /* the same, once bound (formulas.h) */
    const char *message;
    const char *field; /* the field the message is shown at, or NULL */
    bool is_active;
};

struct object {
    const char *name;
    const char *label;
    const char *label_plural;
    const char *key_prefix;
    bool is_custom;
    bool is_createable;
    bool is_updateable;
    bool is_deletable;
    bool is_queryable;
    bool is_replicateable;
    bool has_change_events;
    bool has_recycle_bin; /* without, there is no IsDeleted to see */
    bool lists_schema;    /* its rows are made when they are asked for (schema_rows.h) */
    bool is_hidden;       /* from the present user (rights.h) */
    bool shows_own_only;  /* to the present user: by sharing */
    const struct field **fields;
    size_t field_count;
    struct validation_rule *rules;
    size_t rule_count;
    json_t *rows; /* an array, of what an organisation is born with (birth.h); or NULL */
};

struct schema;

struct schema *schema_new(void);
void schema_free(struct schema *schema);

/* What lives as long as the schema. */
struct arena *schema_arena(struct schema *schema);

/* What is defined now, so that it can be taken back to; the caller frees it. */
struct schema_state *schema_keep(const struct schema *schema);
void schema_restore(struct schema *schema, const struct schema_state *state);

/* Adds or extends the objects of a definition: one object, an array, or {"objects":[...]}. The
 * number of definitions taken is added to *count. */
bool schema_define(struct schema *schema, const json_t *definition, struct error *err);

/* A field that every object with a recycle bin has beside its own; set before any is defined. */
void schema_set_common(struct schema *schema, const json_t *field);

/* A field as its definition says, of no object yet. NULL after setting err. */
const struct field *schema_read_field(struct schema *schema, const json_t *definition,
                                      struct error *err);

/* From now on there is no such object. */
void schema_remove(struct schema *schema, const struct object *object);

size_t schema_count(const struct schema *schema);
const struct object *schema_at(const struct schema *schema, size_t index);

/* Names match whatever their case, as in Salesforce; NULL when there is none. */
const struct object *schema_find(const struct schema *schema, const char *name);

/* The same, but NULL for what the present user may not read. */
const struct object *schema_find_visible(const struct schema *schema, const char *name);
const struct object *schema_find_prefix(const struct schema *schema, const char *id);
const struct field *schema_field(const struct object *object, const char *name);
const struct field *schema_relationship(const struct object *object, const char *name);

/* The child object and its reference field behind a name like Contacts. */
const struct field *schema_children(const struct schema *schema, const struct object *parent,
                                    const char *relationship, const struct object **child);

bool schema_field_refers_to(const struct field *field, const struct object *parent);

/* True when rows have a column of their own for it (compounds have none, formulas are computed). */
bool schema_is_stored(const struct field *field);

/* Whether ORDER BY and GROUP BY take it. */
bool schema_is_sortable(const struct field *field);
bool schema_is_groupable(const struct field *field);

#endif
