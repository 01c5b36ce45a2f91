#include "sandbox/currencies.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { CODE_LETTERS = 3 };

/* One of the list; text is at its beginning. NULL when it is not CODE or CODE=RATE. */
static json_t *read_one(const char *text, size_t length, bool is_corporate)
{
    char *end = NULL;
    double rate = 1;

    for (size_t i = 0; i < CODE_LETTERS; i++)
        if (i >= length || !isupper((unsigned char)text[i]))
            return NULL;
    bool has_rate = length > CODE_LETTERS;
    if (has_rate && (text[CODE_LETTERS] != '=' || is_corporate))
        return NULL;
    if (has_rate)
        rate = strtod(text + CODE_LETTERS + 1, &end);
    if (has_rate && (end != text + length || !isfinite(rate) || rate <= 0))
        return NULL;
    return json_pack("{s:s%, s:f, s:i, s:b, s:b}", "IsoCode", text, (size_t)CODE_LETTERS,
                     "ConversionRate", rate, "DecimalPlaces", 2, "IsActive", 1, "IsCorporate",
                     is_corporate);
}

static json_t *read_rows(const char *text, struct error *err)
{
    json_t *rows = json_array();

    for (bool is_first = true; is_first || *text != '\0'; is_first = false) {
        size_t length = strcspn(text, ",");
        json_t *row = read_one(text, length, is_first);

        if (row == NULL) {
            error_set(err, ERROR_CONFIG,
                      "\"%s\" is no list of currencies: write it like USD,EUR=0.92", text);
            json_decref(rows);
            return NULL;
        }
        json_array_append_new(rows, row);
        text += length + (text[length] == ',');
    }
    return rows;
}

static json_t *define_code(const char *name, const char *label, const json_t *rows)
{
    json_t *values = json_array();
    size_t index;
    const json_t *row;

    json_array_foreach(rows, index, row)
    {
        json_array_append(values, json_object_get(row, "IsoCode"));
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:b, s:O, s:o}", "name", name, "type", "picklist",
                     "label", label, "length", CODE_LETTERS, "restrictedPicklist", 1,
                     "defaultValue", json_array_get(values, 0), "picklistValues", values);
}

static json_t *define_type(json_t *rows)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:[{s:s, s:s, s:s, s:i, s:b, s:b},"
                     "{s:s, s:s, s:i, s:i}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}], s:o}",
                     "name", "CurrencyType", "label", "Currency Type", "labelPlural",
                     "Currency Types", "keyPrefix", "01L", "deletable", 0, "changeEvents", 0,
                     "recycleBin", 0, "fields", "name", "IsoCode", "type", "string", "label",
                     "Currency ISO Code", "length", CODE_LETTERS, "nillable", 0, "unique", 1,
                     "name", "ConversionRate", "type", "double", "precision", 18, "scale", 6,
                     "name", "DecimalPlaces", "type", "int", "name", "IsActive", "type", "boolean",
                     "name", "IsCorporate", "type", "boolean", "rows", rows);
}

json_t *currencies_read(const char *text, struct error *err)
{
    json_t *rows = read_rows(text, err);

    if (rows == NULL)
        return NULL;
    json_t *field = define_code("CurrencyIsoCode", "Currency ISO Code", rows);
    json_t *user = define_code("DefaultCurrencyIsoCode", "Default Currency ISO Code", rows);
    return json_pack("{s:o, s:[o, {s:s, s:[o]}]}", "field", field, "objects", define_type(rows),
                     "name", "User", "fields", user);
}
