#include "tail/format.h"

#include <string.h>

#include "tail/format_debezium.h"
#include "tail/format_json.h"
#include "tail/format_protobuf.h"
#include "tail/format_text.h"

static const struct format formats[] = {
    {"text", "one readable line per change", false, format_text_print},
    {"json", "one self-contained object per line", false, format_json_print},
    {"protobuf", "the stream's own form, for `pgforce decode`", true, format_protobuf_print},
    {"debezium", "Debezium's JSON envelope, one per line", false, format_debezium_print},
};

enum { FORMAT_COUNT = sizeof(formats) / sizeof(formats[0]) };

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const struct format *format_at(size_t index)
{
    return index < FORMAT_COUNT ? &formats[index] : NULL;
}
