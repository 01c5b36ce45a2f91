/*
 * Tells somebody: one JSON text to a webhook, to a command, or to both.
 *
 * Told means that everybody who was to be told took it: the webhook answered with 2xx, the command
 * ended with 0, in bounded time. Who asks again may therefore tell twice, never not at all. TLS is
 * verified; plain HTTP is for this machine only. The webhook's address may hold a secret, so it is
 * in no message.
 */
#ifndef PGFORCE_CONTROL_TELLER_H
#define PGFORCE_CONTROL_TELLER_H

#include <stdbool.h>

#include "base/error.h"

struct teller;

/* url and command may each be NULL. command: words separated by blanks, the first a program. */
struct teller *teller_new(const char *url, const char *command, struct error *err);
void teller_free(struct teller *teller);

/* Whether there is anybody to tell. */
bool teller_has_listener(const struct teller *teller);

/* ERROR_RETRY: not everybody has taken it. */
bool teller_tell(struct teller *teller, const char *json, struct error *err);

#endif
