#include "inbound/bulk_rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void bulk_rows_init(struct bulk_rows *rows, const struct mapping *mapping,
                    struct sf_bulk_result *result)
{
    *rows = (struct bulk_rows){.mapping = mapping,
                               .result = result,
                               .arena = arena_new(),
                               .values = memory_alloc(mapping->field_count * sizeof(struct value)),
                               .cells = memory_alloc(mapping->field_count * sizeof(size_t))};
}

void bulk_rows_done(struct bulk_rows *rows)
{
    arena_free(rows->arena);
    free(rows->values);
    free(rows->cells);
    *rows = (struct bulk_rows){0};
}

/* SIZE_MAX when there is none. */
static size_t find_cell(const struct sf_csv_row *header, const char *name)
{
    for (size_t i = 0; i < header->count; i++)
        if (strcasecmp(header->cells[i], name) == 0)
            return i;
    return SIZE_MAX;
}

bool bulk_rows_begin(struct bulk_rows *rows, const struct sf_csv_row *header, struct error *err)
{
    const struct mapping *mapping = rows->mapping;

    rows->given = 0;
    rows->column_count = header->count;
    rows->deleted_cell = find_cell(header, "IsDeleted");
    for (size_t i = 0; i < mapping->field_count; i++) {
        rows->cells[i] = find_cell(header, mapping->fields[i].soql_path);
        if (rows->cells[i] == SIZE_MAX)
            return error_set(err, ERROR_RETRY, "a page of the result has no column %s",
                             mapping->fields[i].soql_path);
    }
    return true;
}

/* PostgreSQL cannot hold U+0000: it is left out. */
static size_t drop_zeros(char *cell, size_t size_bytes)
{
    size_t used = 0;

    if (memchr(cell, '\0', size_bytes) == NULL)
        return size_bytes;
    for (size_t i = 0; i < size_bytes; i++)
        if (cell[i] != '\0')
            cell[used++] = cell[i];
    cell[used] = '\0';
    return used;
}

static bool fill_value(struct bulk_rows *rows, const struct sf_csv_row *row, size_t index,
                       struct error *err)
{
    const struct mapping_field *field = &rows->mapping->fields[index];
    char *cell = row->cells[rows->cells[index]];
    size_t size_bytes = drop_zeros(cell, row->sizes[rows->cells[index]]);
    const char *text;

    rows->values[index] = (struct value){.kind = VALUE_NULL};
    if (size_bytes == 0)
        return true;
    if (!fieldtype_from_text(field->type, cell, rows->arena, &text, err))
        return error_prefix(err, "%s", field->field_name);
    rows->values[index] = (struct value){
        .kind = VALUE_TEXT, .text = text, .size_bytes = text == cell ? size_bytes : strlen(text)};
    return true;
}

static bool fill_values(struct bulk_rows *rows, const struct sf_csv_row *row, struct error *err)
{
    for (size_t i = 0; i < rows->mapping->field_count; i++)
        if (!fill_value(rows, row, i, err))
            return false;
    return true;
}

/* Only the id of a deleted record says anything. */
static void make_delete(const struct bulk_rows *rows, struct row *row)
{
    const struct mapping *mapping = rows->mapping;

    for (size_t i = 0; i < mapping->field_count; i++)
        if (&mapping->fields[i] != mapping->id_field)
            rows->values[i] = (struct value){.kind = VALUE_ABSENT};
    *row = (struct row){.op = ROW_DELETE, .old_values = rows->values};
}

static bool give_row(struct bulk_rows *rows, const struct sf_csv_row *csv, struct stage *stage,
                     struct error *err)
{
    const struct mapping *mapping = rows->mapping;
    struct row row = {.op = ROW_UPDATE, .new_values = rows->values};
    struct error why;

    if (csv->count != rows->column_count)
        return error_set(err, ERROR_RETRY, "a row of the result has %zu columns, its header %zu",
                         csv->count, rows->column_count);
    rows->given++;
    arena_reset(rows->arena);
    if (!fill_values(rows, csv, &why)) {
        const char *id = csv->cells[rows->cells[mapping->id_field - mapping->fields]];

        refusals_add(stage->refusals, id, "%s", why.message);
        return true;
    }
    if (rows->deleted_cell != SIZE_MAX && strcasecmp(csv->cells[rows->deleted_cell], "true") == 0)
        make_delete(rows, &row);
    return stage_put(stage, &row, err);
}

bool bulk_rows_give(void *context, struct stage *stage, struct error *err)
{
    struct bulk_rows *rows = context;
    struct sf_csv_row csv;
    bool is_row;

    for (;;) {
        if (!sf_bulk_result_row(rows->result, &is_row, &csv, err))
            return false;
        if (!is_row)
            return true;
        if (!give_row(rows, &csv, stage, err))
            return false;
    }
}
