#include "mapping/mask.h"

#include <string.h>

enum {
    CLEAR_CHARACTERS = 4, /* shown at the end, where the field is masked so */
    FEWEST_LETTERS = 4,   /* fewer X may well be somebody's word */
};

/* By describe's maskType, how many characters are shown at the end. Source: Salesforce Help, as
 * above; its values, in spelling of the Metadata API ("EncryptedFieldMaskType"). */
static const struct kind {
    const char *name;
    size_t clear;
} kinds[] = {
    {"all", 0},
    {"lastFour", CLEAR_CHARACTERS},
    {"creditCard", CLEAR_CHARACTERS},
    {"ssn", CLEAR_CHARACTERS},
    {"sin", 0},
    {"nino", 0},
};

static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* What follows the hidden characters, of which there are *count, and the separators among them. */
static const char *skip_hidden(const char *text, char sign, size_t *count)
{
    for (*count = 0; *text == sign || (*count > 0 && (*text == '-' || *text == ' ')); text++)
        *count += *text == sign;
    return text;
}

static bool looks_masked(const char *text, char sign, size_t fewest)
{
    size_t hidden;
    size_t clear = count_characters(skip_hidden(text, sign, &hidden));

    return hidden >= fewest && (clear == 0 || clear == CLEAR_CHARACTERS);
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *mask_describe(const struct sf_field *field, struct arena *arena)
{
    bool is_known = field->is_encrypted && field->mask != NULL && field->mask_type != NULL &&
                    (strcmp(field->mask, "*") == 0 || strcmp(field->mask, "X") == 0) &&
                    find_kind(field->mask_type) != NULL;

    return is_known ? arena_printf(arena, "%s %s", field->mask, field->mask_type) : NULL;
}

/* mask: as mask_describe wrote it. */
static bool is_masked_as(const char *text, const char *mask)
{
    const struct kind *kind = strlen(mask) > 2 ? find_kind(mask + 2) : NULL;
    size_t hidden;
    size_t clear = count_characters(skip_hidden(text, mask[0], &hidden));

    return kind != NULL && hidden > 0 && clear == kind->clear;
}

bool mask_is_one(const struct mapping_field *field, const char *text)
{
    if (text == NULL || strcmp(fieldtype_name(field->type), "encryptedstring") != 0)
        return false;
    if (field->mask != NULL)
        return is_masked_as(text, field->mask);
    return looks_masked(text, '*', 1) || looks_masked(text, 'X', FEWEST_LETTERS);
}
