#include "base/lsn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct lsn_text lsn_format(lsn_t lsn)
{
    struct lsn_text text;

    snprintf(text.text, sizeof(text.text), "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return text;
}

/* One half: 1 to 8 hexadecimal digits. Answers where it ended, or NULL. */
static const char *parse_half(const char *text, uint32_t *half)
{
    int digits = 0;

    while (isxdigit((unsigned char)text[digits]))
        digits++;
    if (digits < 1 || digits > 8)
        return NULL;
    *half = (uint32_t)strtoul(text, NULL, 16);
    return text + digits;
}

bool lsn_parse(const char *text, lsn_t *lsn)
{
    uint32_t high;
    uint32_t low;
    const char *rest = parse_half(text, &high);

    if (rest == NULL || *rest != '/')
        return false;
    rest = parse_half(rest + 1, &low);
    if (rest == NULL || *rest != '\0')
        return false;
    *lsn = (lsn_t)high << 32 | low;
    return true;
}
