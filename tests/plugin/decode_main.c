/* decode_main FILE [relations] [transactions]: a file of changes as masked JSON, for golden files.
 */
#include <stdio.h>
#include <string.h>

#include "change/decode.h"

int main(int argc, char **argv)
{
    struct change_json_options options = {.mask = true};
    struct error err = {0};
    FILE *in = argc > 1 ? fopen(argv[1], "rb") : NULL;

    if (in == NULL) {
        fprintf(stderr, "usage: %s FILE [relations] [transactions]\n", argv[0]);
        return 64;
    }
    for (int i = 2; i < argc; i++) {
        options.with_relations |= strcmp(argv[i], "relations") == 0;
        options.with_transactions |= strcmp(argv[i], "transactions") == 0;
    }
    bool is_done = decode_file(in, stdout, &options, &err);
    if (!is_done)
        fprintf(stderr, "%s: %s\n", argv[1], err.message);
    fclose(in);
    return is_done ? 0 : 1;
}
