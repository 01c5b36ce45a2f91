#include "sf/id.h"

#include <string.h>

enum { SHORT_LENGTH = 15, LONG_LENGTH = 18, GROUP_LENGTH = 5 };

static char check_character(const char *group)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    unsigned int bits = 0;

    for (unsigned int i = 0; i < GROUP_LENGTH; i++) {
        if (group[i] >= 'A' && group[i] <= 'Z')
            bits |= 1U << i;
    }
    return alphabet[bits];
}

static char upper(char character)
{
    return character >= 'a' && character <= 'z' ? (char)(character - 'a' + 'A') : character;
}

bool sf_id_from(const char *text, size_t length, char out[SF_ID_BYTES])
{
    char id[SF_ID_BYTES] = "";

    out[0] = '\0';
    if (length != SHORT_LENGTH && length != LONG_LENGTH)
        return false;
    memcpy(id, text, SHORT_LENGTH);
    if (strspn(id, SF_ID_CHARACTERS) != SHORT_LENGTH)
        return false;
    for (int i = 0; i < LONG_LENGTH - SHORT_LENGTH; i++)
        id[SHORT_LENGTH + i] = check_character(id + i * GROUP_LENGTH);
    for (size_t i = SHORT_LENGTH; i < length; i++) {
        if (upper(text[i]) != id[i])
            return false;
    }
    memcpy(out, id, SF_ID_BYTES);
    return true;
}

bool sf_id_to_18(const char *text, char out[SF_ID_BYTES])
{
    return sf_id_from(text, strlen(text), out);
}

bool sf_id_is_valid(const char *text)
{
    char ignored[SF_ID_BYTES];

    return sf_id_to_18(text, ignored);
}

bool sf_id_is_same(const char *left, const char *right)
{
    char left_id[SF_ID_BYTES];
    char right_id[SF_ID_BYTES];

    return sf_id_to_18(left, left_id) && sf_id_to_18(right, right_id) &&
           strcmp(left_id, right_id) == 0;
}
