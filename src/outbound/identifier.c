#include "outbound/identifier.h"

#include <strings.h>

#include "base/buf.h"
#include "mapping/decimal.h"
#include "mapping/fieldtype.h"
#include "outbound/records.h"
#include "sf/soql.h"

enum { LITERAL_MAX_BYTES = 64 * 1024 };

const char *identifier_in_query(const struct mapping_field *field, const char *text,
                                struct arena *arena)
{
    struct buf literal BUF_AUTO = {0};
    struct error ignored;

    if (fieldtype_is_number(field->type))
        return decimal_plain(text, arena);
    buf_init(&literal, LITERAL_MAX_BYTES);
    return soql_quote(&literal, text, &ignored) ? text : NULL;
}

const char *identifier_of(const struct mapping_field *field, json_t *record, struct arena *arena)
{
    const char *text = NULL;
    struct error ignored;

    fieldtype_from_json(field->type, records_value(record, field), arena, &text, &ignored);
    return text;
}

bool identifier_is_same(const struct mapping_field *field, const char *ours, const char *theirs,
                        struct arena *arena)
{
    if (theirs != NULL && fieldtype_is_number(field->type)) {
        ours = decimal_plain(ours, arena);
        theirs = decimal_plain(theirs, arena);
    }
    return ours != NULL && theirs != NULL && strcasecmp(ours, theirs) == 0;
}
