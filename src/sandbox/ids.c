#include "sandbox/ids.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char checks[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

static void append_checksum(char *id)
{
    for (int group = 0; group < 3; group++) {
        unsigned int bits = 0;

        for (int i = 0; i < 5; i++)
            if (isupper((unsigned char)id[group * 5 + i]))
                bits |= 1u << i;
        id[IDS_SHORT + group] = checks[bits];
    }
    id[IDS_LONG] = '\0';
}

struct ids_text ids_make(const char *key_prefix, int64_t number)
{
    struct ids_text id;

    memcpy(id.text, key_prefix, 3);
    memcpy(id.text + 3, "dL0", 3);
    for (int i = IDS_SHORT - 1; i >= 6; i--) {
        id.text[i] = digits[number % 62];
        number /= 62;
    }
    append_checksum(id.text);
    return id;
}

/* An id that lost its case gets it back from its checksum. */
static bool restore_case(char *id)
{
    for (int group = 0; group < 3; group++) {
        const char *check = memchr(checks, toupper((unsigned char)id[IDS_SHORT + group]), 32);

        if (check == NULL)
            return false;
        for (int i = 0; i < 5; i++) {
            unsigned char character = (unsigned char)id[group * 5 + i];
            bool is_upper = ((unsigned int)(check - checks) >> i & 1u) != 0;

            if (is_upper && !isalpha(character))
                return false;
            id[group * 5 + i] = (char)(is_upper ? toupper(character) : tolower(character));
        }
    }
    return true;
}

bool ids_normalize(const char *text, struct ids_text *id)
{
    size_t length = strlen(text);

    if (length != IDS_SHORT && length != IDS_LONG)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]))
            return false;
    memcpy(id->text, text, length + 1);
    if (length == IDS_LONG && !restore_case(id->text))
        return false;
    append_checksum(id->text);
    return length == IDS_SHORT || strcasecmp(id->text, text) == 0;
}
