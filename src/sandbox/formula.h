/*
 * Salesforce's formula language: the tree, its values, and how a tree is evaluated.
 *
 * A formula is parsed (formula_parse.h), its names and types are checked against an object
 * (formula_check.h), and it is evaluated here from the values of its inputs: the fields that it
 * names. Where those come from is not known here (formula_sql.h fetches them). Evaluation is pure
 * and never fails: what Salesforce shows as #Error! (a division by zero) is null, as the API
 * answers it.
 *
 * Source: Salesforce Help, "Formula Operators and Functions by Context".
 */
#ifndef PGFORCE_SANDBOX_FORMULA_H
#define PGFORCE_SANDBOX_FORMULA_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sandbox/schema.h"

enum {
    FORMULA_MAX_CHARACTERS = 3900, /* as in Salesforce */
    FORMULA_MAX_DEPTH = 60,        /* of parentheses and calls */
    FORMULA_MAX_PATH = 10,         /* parents before the field */
    FORMULA_MAX_INPUTS = 100,      /* SQLite's functions take 127 arguments */
    FORMULA_MAX_TEXT_BYTES = 128 * 1024,
    FORMULA_DAY_S = 86400,
};

enum formula_type {
    FORMULA_NULL, /* the literal; fits everywhere */
    FORMULA_TEXT,
    FORMULA_NUMBER,
    FORMULA_BOOLEAN,
    FORMULA_DATE,
    FORMULA_DATETIME,
    FORMULA_PICKLIST,
};

/* A text is never null but empty; a boolean never null but false. Dates and datetimes are seconds
 * since 1970, a boolean is 0 or 1. */
struct formula_value {
    bool is_null;
    double number;
    const char *text; /* of texts and picklists */
};

enum formula_kind { FORMULA_LITERAL, FORMULA_FIELD, FORMULA_CALL };

struct formula_node {
    enum formula_kind kind;
    enum formula_type type;
    size_t position; /* of its first byte */
    struct formula_value value;
    const char *name;                        /* of a field: the path as written; of a call */
    const struct formula_function *function; /* once checked */
    size_t input;                            /* of a field, once checked */
    struct formula_node *arguments;
    size_t argument_count;
    struct formula_node *next;
};

enum formula_input_kind {
    FORMULA_CURRENT,
    FORMULA_PRIOR,  /* as it was before this save; as it is when the record is new */
    FORMULA_IS_NEW, /* no field: whether the record is new */
};

/* A field that a formula reads: of the record, of one of its parents, or of the user. */
struct formula_input {
    enum formula_input_kind kind;
    bool is_of_user;                                /* $User.Email */
    const struct field *path[FORMULA_MAX_PATH];     /* the references on the way */
    const struct object *objects[FORMULA_MAX_PATH]; /* and what each leads to */
    size_t path_count;
    const struct field *field;
};

struct formula {
    const struct object *object;
    const struct field *field; /* the field it computes; NULL for a condition */
    struct formula_node *root;
    struct formula_input inputs[FORMULA_MAX_INPUTS];
    size_t input_count;
    size_t number;        /* by which SQL calls it */
    bool blanks_are_zero; /* of numbers */
};

/* What evaluation knows of the world. */
struct formula_run {
    struct arena *arena; /* texts made on the way */
    int64_t now_s;
    const struct formula_value *inputs;
};

/* A row of a table of functions. arguments: a letter for each, t n b d m (datetime) p (picklist);
 * s: all alike, the result too; v: any; f: a field; "?" before what may be left out, "*" behind
 * what may be repeated. A name may have several rows. */
struct formula_function {
    const char *name;
    const char *arguments;
    char result;
    bool is_of_rules; /* only a validation rule may call it */
    struct formula_value (*evaluate)(const struct formula_run *run,
                                     const struct formula_node *call);
};

/* The value of a checked tree. */
struct formula_value formula_evaluate(const struct formula_run *run,
                                      const struct formula_node *node);

/* For the functions: the value of an argument. */
struct formula_value formula_argument(const struct formula_run *run,
                                      const struct formula_node *call, size_t index);

/* Never NULL. */
const char *formula_text_argument(const struct formula_run *run, const struct formula_node *call,
                                  size_t index);

static inline bool formula_is_blank(const struct formula_value *value)
{
    return value->is_null || (value->text != NULL && *value->text == '\0');
}

static inline struct formula_value formula_null(void)
{
    return (struct formula_value){.is_null = true};
}

static inline struct formula_value formula_number(double number)
{
    return (struct formula_value){.is_null = !isfinite(number), .number = number};
}

static inline struct formula_value formula_boolean(bool is_true)
{
    return (struct formula_value){.number = is_true};
}

static inline struct formula_value formula_text(const char *text)
{
    return (struct formula_value){.text = text};
}

#endif
