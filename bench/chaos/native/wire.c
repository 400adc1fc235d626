/*
 * A network cable that can be cut: packets go between a device here and one in another network namespace, late, lost
 * or not at all, as told line by line on standard input: "set DELAY_MS LOSS_PERCENT". Each line is answered, once it
 * is in force, by how many packets have passed and been lost since the one before. Usage: wire DEVICE NAMESPACE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { packet_max = 2048, queue_max = 16384 };

struct packet {
  int64_t due_us;
  int to, length;
  char bytes[packet_max];
};

static struct packet *queue;
static unsigned head, tail;

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_device(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("wire: /dev/net/tun");
  return fd;
}

int main(int count, char **args) {
  if (count != 3) return fprintf(stderr, "usage: wire DEVICE NAMESPACE\n"), 2;
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", args[2]);
  int ends[2], delay_ms = 0, loss = 0;
  long passed = 0, lost = 0;
  ends[0] = open_device(args[1]);
  int namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) fail("wire: namespace");
  ends[1] = open_device(args[1]);
  queue = calloc(queue_max, sizeof *queue);
  puts("ready");
  fflush(stdout);
  srandom(1);
  for (;;) {
    struct pollfd waits[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}, {0, POLLIN, 0}};
    int64_t wait_us = head == tail ? 1000000 : queue[head % queue_max].due_us - now_us();
    if (wait_us > 0) {
      struct timespec timeout = {wait_us / 1000000, wait_us % 1000000 * 1000};
      ppoll(waits, 3, &timeout, NULL);
    }
    if (waits[2].revents) {
      char line[128] = {0};
      ssize_t length = read(0, line, sizeof line - 1);
      if (length <= 0) return 0;
      if (sscanf(line, "set %d %d", &delay_ms, &loss) != 2) return fprintf(stderr, "wire: what is %s\n", line), 2;
      printf("%ld %ld\n", passed, lost);
      fflush(stdout);
      passed = lost = 0;
    }
    for (int from = 0; from < 2; from++) {
      while (tail - head < queue_max) {
        struct packet *packet = &queue[tail % queue_max];
        packet->length = read(ends[from], packet->bytes, packet_max);
        if (packet->length <= 0) break;
        if (random() % 100 < loss) {
          lost++;
          continue;
        }
        passed++;
        packet->to = 1 - from;
        packet->due_us = now_us() + delay_ms * 1000LL;
        tail++;
      }
    }
    for (; head != tail && queue[head % queue_max].due_us <= now_us(); head++) {
      struct packet *packet = &queue[head % queue_max];
      if (write(ends[packet->to], packet->bytes, packet->length) < 0) continue;
    }
  }
}
