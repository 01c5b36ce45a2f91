#include "tail/stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t is_held;
static volatile sig_atomic_t is_asked;
static void (*stop_now)(int signal_number); /* base/wait's handler */

static void take_signal(int signal_number)
{
    is_asked = 1;
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (is_held)
        alarm(STOP_GRACE_S);
    else
        stop_now(signal_number);
}

static void end_grace(int signal_number)
{
    stop_now(signal_number);
}

void stop_init(void)
{
    struct sigaction action = {0};

    sigaction(SIGTERM, NULL, &action);
    stop_now = action.sa_handler;
    action = (struct sigaction){.sa_handler = take_signal};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = end_grace;
    sigaction(SIGALRM, &action, NULL);
}

void stop_hold(bool held)
{
    is_held = held;
}

bool stop_is_asked(void)
{
    return is_asked != 0;
}
