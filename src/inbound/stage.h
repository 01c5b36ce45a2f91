/*
 * Where a page's rows are put by COPY: the staging table of the mapping, temporary, of our session,
 * emptied by itself at COMMIT; or, when all of them are known to be new, the mapped table itself.
 *
 * In the staging table texts have no bound, and a deletion is a row with its sfid alone and
 * _pgforce_deleted. A text that is longer than its column is found here, before the server is
 * asked: see growth.h.
 *
 * Also the pieces of SQL that name both tables' columns, so that they are spelt in one place.
 */
#ifndef PGFORCE_INBOUND_STAGE_H
#define PGFORCE_INBOUND_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "change/change.h"
#include "inbound/growth.h"
#include "inbound/refusals.h"
#include "mapping/mapping.h"
#include "pg/copy.h"
#include "pg/pg.h"

struct stage {
    const struct mapping *mapping;
    const struct growth *growth;
    struct refusals *refusals;
    bool is_direct; /* into the mapped table */
    struct copy copy;
    int *widths; /* in characters, by field; 0: no bound */
    int64_t rows;
    const struct mapping_field *narrow; /* NULL, or the field whose text was too long */
    int narrow_characters;              /* what it needs */
};

/* Inside a transaction: makes the staging table if the session has none yet, begins the COPY. The
 * first four of stage's fields are the caller's to set. */
bool stage_begin(struct stage *stage, struct pg *pg, struct arena *arena, struct error *err);

/* False with ERROR_RECORD, and narrow set, when a text is too long for a column that may grow. Of
 * the mapping's fields, in order; a row that is refused is noted and counts as put. */
bool stage_put(struct stage *stage, const struct row *row, struct error *err);

bool stage_end(struct stage *stage, struct error *err);
void stage_abort(struct stage *stage);

/* "schema"."table" and pg_temp."pgforce_stage_7". */
void stage_append_target(struct buf *sql, const struct mapping *mapping);
void stage_append_stage(struct buf *sql, const struct mapping *mapping);

/* A column of the mapped table with a comma behind it, as it is staged: a text without its bound,
 * so that one which the table refuses is a matter of that row, not of the COPY; but sfid, whose
 * order is of its type. */
void stage_append_unbound(struct buf *sql, const struct mapping *mapping,
                          const struct mapping_field *field);

/* What is put off while the staging table is worked through in pieces: made when it is not there,
 * and put back. */
void stage_append_rest(struct buf *sql, const struct mapping *mapping);
bool stage_make_rest(struct pg *pg, const struct mapping *mapping, struct error *err);
bool stage_return_rest(struct pg *pg, const struct mapping *mapping, struct error *err);

/* The columns, each after prefix and separated by ", ": s."name", s."sfid". */
void stage_append_columns(struct buf *sql, const struct mapping *mapping, const char *prefix);

#endif
