/*
 * What a service manager is told: sd_notify's protocol, one datagram to $NOTIFY_SOCKET.
 *
 * Only the process that has something to say speaks (service_speak); under our own supervisor it
 * says it into a pipe, and the supervisor, whom the manager knows, tells it on. Where nobody
 * listens, nothing is done. Nothing here ever fails: that a manager did not hear is no reason to
 * stop.
 *
 * Source: systemd, sd_notify(3).
 */
#ifndef PGFORCE_BASE_SERVICE_H
#define PGFORCE_BASE_SERVICE_H

#include <stdbool.h>

#include "base/error.h"

/* From now on what this process tells is passed on. */
void service_speak(void);

/* Lines such as "READY=1\nSTATUS=streaming". */
void service_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same at most once a second: for what is said in a loop. */
bool service_is_due(void);

/* The supervisor's part: makes the pipe that its children inherit, where somebody listens. */
bool service_open_relay(bool *is_heard, struct error *err);

/* Tells on what the children have said since. */
void service_relay(void);

#endif
