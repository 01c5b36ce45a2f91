#include "sandbox/base64.h"

#include <openssl/evp.h>
#include <string.h>

char *base64_decode(struct arena *arena, const char *text, size_t length, size_t *size_bytes)
{
    while (length > 0 && text[length - 1] == '=')
        length--;
    size_t padded = (length + 3) / 4 * 4;
    char *copy = arena_alloc(arena, padded + 1);
    char *out = arena_alloc(arena, padded + 1);

    memset(copy, '=', padded);
    for (size_t i = 0; i < length; i++)
        copy[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    if (padded - length > 2 ||
        EVP_DecodeBlock((unsigned char *)out, (unsigned char *)copy, (int)padded) < 0)
        return NULL;
    *size_bytes = length * 3 / 4;
    out[*size_bytes] = '\0';
    return out;
}

char *base64_encode_url(struct arena *arena, const void *data, size_t size_bytes)
{
    char *out = arena_alloc(arena, (size_bytes + 2) / 3 * 4 + 1);

    EVP_EncodeBlock((unsigned char *)out, data, (int)size_bytes);
    out[strcspn(out, "=")] = '\0';
    for (char *each = out; *each != '\0'; each++)
        *each = (char)(*each == '+' ? '-' : *each == '/' ? '_' : *each);
    return out;
}
