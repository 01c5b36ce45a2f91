#include "sandbox/formula_sql.h"

#include <stdio.h>

enum { ALIAS_BYTES = 24 };

struct writer {
    struct buf *sql;
    int nested; /* formulas around this one */
};

static bool write_formula(struct writer *writer, const struct formula *formula, const char *alias);

static bool write_field(struct writer *writer, const struct field *field, const char *alias)
{
    if (field->formula != NULL)
        return write_formula(writer, field->computed, alias);
    buf_printf(writer->sql, "%s.\"%s\"", alias, field->name);
    return !buf_is_full(writer->sql);
}

/* The first parent is found by an id, each further one by a reference of the one before. The level
 * in the aliases keeps those of a nested formula apart. */
static bool write_parent_field(struct writer *writer, const struct formula_input *input,
                               const char *alias)
{
    struct buf *sql = writer->sql;
    char last[ALIAS_BYTES];

    snprintf(last, sizeof(last), "f%d_%zu", writer->nested, input->path_count - 1);
    buf_text(sql, "(select ");
    if (!write_field(writer, input->field, last))
        return false;
    buf_printf(sql, " from \"%s\" f%d_0", input->objects[0]->name, writer->nested);
    for (size_t i = 1; i < input->path_count; i++)
        buf_printf(sql, " left join \"%s\" f%d_%zu on f%d_%zu.\"Id\" = f%d_%zu.\"%s\"",
                   input->objects[i]->name, writer->nested, i, writer->nested, i, writer->nested,
                   i - 1, input->path[i]->name);
    buf_printf(sql, " where f%d_0.\"Id\" = ", writer->nested);
    if (input->is_of_user)
        buf_text(sql, "sandbox_user())");
    else
        buf_printf(sql, "%s.\"%s\")", alias, input->path[0]->name);
    return !buf_is_full(sql);
}

static bool write_input(struct writer *writer, const struct formula_input *input, const char *alias)
{
    const char *name = input->field != NULL ? input->field->name : "";

    switch (input->kind) {
    case FORMULA_IS_NEW: buf_text(writer->sql, "o.\"Id\" is null"); return true;
    case FORMULA_PRIOR:
        buf_printf(writer->sql, "case when o.\"Id\" is null then %s.\"%s\" else o.\"%s\" end",
                   alias, name, name);
        return true;
    case FORMULA_CURRENT: break;
    }
    return input->path_count > 0 ? write_parent_field(writer, input, alias)
                                 : write_field(writer, input->field, alias);
}

static bool write_formula(struct writer *writer, const struct formula *formula, const char *alias)
{
    if (formula == NULL) {
        /* Not bound yet: known by its type only. */
        buf_text(writer->sql, "null");
        return true;
    }
    if (++writer->nested > FORMULA_SQL_MAX_NESTED)
        return false;
    buf_printf(writer->sql, "sandbox_formula(%zu", formula->number);
    for (size_t i = 0; i < formula->input_count; i++) {
        buf_text(writer->sql, ", ");
        if (!write_input(writer, &formula->inputs[i], alias))
            return false;
    }
    buf_char(writer->sql, ')');
    writer->nested--;
    return !buf_is_full(writer->sql);
}

bool formula_sql_write(const struct formula *formula, const char *alias, struct buf *sql)
{
    struct writer writer = {.sql = sql};

    return write_formula(&writer, formula, alias);
}

bool formula_sql_write_field(const struct field *field, const char *alias, struct buf *sql)
{
    struct writer writer = {.sql = sql};

    return write_field(&writer, field, alias);
}
