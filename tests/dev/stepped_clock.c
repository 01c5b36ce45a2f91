/*
 * The clock of the day as a test wants it: every reading is off by the microseconds that stand, as
 * an int64_t, in the file that STEPPED_CLOCK names, from the moment they stand there. The monotonic
 * clock is left alone. There is nothing to lock, so the process may be killed at any moment.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_us = MAP_FAILED;

__attribute__((constructor)) static void open_offset(void)
{
    const char *path = getenv("STEPPED_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        offset_us = mmap(NULL, sizeof(*offset_us), PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (syscall(SYS_clock_gettime, clock, out) != 0)
        return -1;
    if ((clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) || offset_us == MAP_FAILED)
        return 0;
    int64_t now_us = (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 + *offset_us;
    out->tv_sec = now_us / 1000000;
    out->tv_nsec = now_us % 1000000 * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}
