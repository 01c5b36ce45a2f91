#include "mapping/mask.h"

#include <string.h>

enum {
    CLEAR_CHARACTERS = 4, /* shown at the end, where the field is masked so */
    FEWEST_LETTERS = 4,   /* fewer X may well be somebody's word */
};

static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* As many of the sign as it takes, among separators; then nothing, or four characters. */
static bool is_masked_by(const char *text, char sign, size_t fewest)
{
    size_t signs = 0;

    for (; *text == sign || (signs > 0 && (*text == '-' || *text == ' ')); text++)
        signs += *text == sign;
    size_t clear = count_characters(text);
    return signs >= fewest && (clear == 0 || clear == CLEAR_CHARACTERS);
}

bool mask_is_one(const struct mapping_field *field, const char *text)
{
    return text != NULL && strcmp(fieldtype_name(field->type), "encryptedstring") == 0 &&
           (is_masked_by(text, '*', 1) || is_masked_by(text, 'X', FEWEST_LETTERS));
}
