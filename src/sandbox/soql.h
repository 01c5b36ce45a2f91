/*
 * SOQL as a tree: what the parser (soql_parse.c) makes of a statement, before any object is known.
 *
 * Source of the grammar: SOQL and SOSL Reference. Everything lives in the arena it was parsed into.
 * Positions are byte offsets into the text, for the messages.
 */
#ifndef PGFORCE_SANDBOX_SOQL_H
#define PGFORCE_SANDBOX_SOQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/errors.h"

enum {
    SOQL_MAX_CHARACTERS = 100000,
    SOQL_MAX_DEPTH = 50, /* of parentheses */
    SOQL_MAX_PATH = 6,   /* five parents and a field */
};

/* Account.Owner.Name, as written. */
struct soql_path {
    const char *names[SOQL_MAX_PATH];
    size_t count;
    size_t position;
    bool is_formatted; /* in FORMAT() */
    bool is_converted; /* in convertCurrency() */
};

enum soql_item_kind {
    SOQL_FIELD,
    SOQL_COUNT,     /* COUNT() */
    SOQL_AGGREGATE, /* MAX(x) and the like; any other function too */
    SOQL_CHILDREN,  /* (SELECT ... FROM Contacts) */
    SOQL_FIELDS,    /* FIELDS(ALL) */
    SOQL_TYPE_OF,   /* TYPEOF What WHEN Account THEN Phone ELSE Name END */
};

/* WHEN Account THEN Phone, Name; the last may be ELSE, without a type. */
struct soql_choice {
    const char *type;
    size_t position;
    struct soql_item *items;
    struct soql_choice *next;
};

struct soql_item {
    enum soql_item_kind kind;
    struct soql_path path; /* of FIELDS: ALL, STANDARD or CUSTOM */
    const char *function;
    const char *alias;
    struct soql_query *children;
    struct soql_choice *choices;
    struct soql_item *next;
};

enum soql_literal_kind {
    SOQL_STRING,
    SOQL_NUMBER,
    SOQL_BOOLEAN,
    SOQL_NULL,
    SOQL_DATE,
    SOQL_DATETIME,
    SOQL_RANGE, /* TODAY, LAST_N_DAYS:7 */
};

struct soql_literal {
    enum soql_literal_kind kind;
    const char *text;
    double number; /* of a number; the n of LAST_N_DAYS:n */
    bool boolean;
    size_t position;
    struct soql_literal *next;
};

enum soql_operator {
    SOQL_EQUAL,
    SOQL_NOT_EQUAL,
    SOQL_LESS,
    SOQL_LESS_OR_EQUAL,
    SOQL_GREATER,
    SOQL_GREATER_OR_EQUAL,
    SOQL_LIKE,
    SOQL_IN,
    SOQL_NOT_IN,
    SOQL_INCLUDES,
    SOQL_EXCLUDES,
};

enum soql_node_kind { SOQL_AND, SOQL_OR, SOQL_NOT, SOQL_COMPARE };

struct soql_node {
    enum soql_node_kind kind;
    struct soql_node *first; /* of and, or, not: its operands */
    struct soql_node *next;
    struct soql_path path;
    const char *function; /* CALENDAR_YEAR(path), or COUNT(path) in HAVING; NULL for the field */
    enum soql_operator operator;
    struct soql_literal *literals;
    struct soql_query *semi_join; /* IN (SELECT ...) */
};

struct soql_order {
    struct soql_path path;
    const char *function; /* of ORDER BY COUNT(Id); NULL for a plain field */
    bool is_descending;
    bool has_nulls_last;
    struct soql_order *next;
};

struct soql_group {
    struct soql_path path;
    const char *function; /* NULL for a plain field */
    struct soql_group *next;
};

enum soql_grouping { SOQL_PLAIN, SOQL_ROLLUP, SOQL_CUBE };

struct soql_query {
    const char *text;
    struct soql_item *items;
    const char *from;
    size_t from_position;
    const char *from_alias;
    struct soql_node *where;
    struct soql_group *groups;
    enum soql_grouping grouping;
    struct soql_node *having;
    struct soql_order *orders;
    int64_t limit; /* -1 for none */
    int64_t offset;
    bool is_all_rows;
};

/* NULL after adding MALFORMED_QUERY to errors. The tree lives in the errors' arena. */
struct soql_query *soql_parse(const char *text, struct record_errors *errors);

/* Adds an error that shows the place in the statement; always answers false. */
bool soql_parse_refuse(struct record_errors *errors, const char *code, const char *text,
                       size_t position, const char *message);

#endif
