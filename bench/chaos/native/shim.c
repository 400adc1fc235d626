/*
 * A clock that jumps and a disk that is slow, for one program: loaded with LD_PRELOAD, steered while it runs by the file
 * that SQWISH_FAULTS names (two 64-bit numbers; a third counts the syncs that were slow). Only the wall clock jumps; the
 * monotonic one stays what it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile struct {
  int64_t clock_offset_ms;
  int64_t sync_delay_ms;
  int64_t slow_syncs;
} *faults;

__attribute__((constructor)) static void open_faults(void) {
  const char *path = getenv("SQWISH_FAULTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) faults = map;
  close(fd);
}

static int64_t offset_ms(void) { return faults ? faults->clock_offset_ms : 0; }

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t ms = time->tv_nsec / 1000000 + offset_ms() % 1000;
    time->tv_sec += offset_ms() / 1000 + (ms >= 1000) - (ms < 0);
    time->tv_nsec = (ms + (ms < 0) * 1000) % 1000 * 1000000 + time->tv_nsec % 1000000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

/* What a slow disk does: writing goes to the page cache, and whoever wants it on the disk waits. */
static void wait_for_disk(int fd) {
  if (!faults || faults->sync_delay_ms == 0) return;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = 0;
  if (!strstr(path, "/sqwish.db")) return;
  usleep(faults->sync_delay_ms * 1000);
  __atomic_add_fetch(&faults->slow_syncs, 1, __ATOMIC_SEQ_CST);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  wait_for_disk(fd);
  return real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk(fd);
  return real(fd);
}
