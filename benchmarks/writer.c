/* A stand-in for an accuser that writes faster than anybody reads. `writer.py` is the same.

   writer idle                     open the event pipe and write nothing
   writer closed                   never open the event pipe
   writer blocks FILE COUNT        write the content of FILE to the event pipe, COUNT times (0: for ever)
   writer lines FILE COUNT         the same to standard output, then exit
   writer paced FILE COUNT MICROS  write FILE to the event pipe every MICROS microseconds, COUNT times;
                                   its twenty '#' become the time of the write: CLOCK_MONOTONIC in ns

   With an accuser's own arguments, which begin with a dash, it idles.
   What comes after these arguments is ignored. Ready at once, they begin at SIGUSR1; having written,
   they wait for SIGTERM. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void write_all(int to, const char *data, size_t size) {
  while (size > 0) {
    ssize_t written = write(to, data, size);
    if (written <= 0) exit(3);
    data += written;
    size -= (size_t)written;
  }
}

static int event_pipe(void) {
  const char *uri = getenv("MAVRYK_EVENTS_CONFIG");
  const char *start = uri ? strstr(uri, "//") : NULL;
  if (!start) exit(4);
  char *path = strdup(start + 2);
  path[strcspn(path, "?")] = 0;
  int descriptor = open(path, O_WRONLY);
  if (descriptor < 0) exit(5);
  return descriptor;
}

static char *content(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(6);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*size + 1);
  if (fread(data, 1, *size, file) != *size) exit(7);
  data[*size] = 0;
  return data;
}

static void write_paced(int to, char *item, size_t size, long count, long period_us) {
  char *stamp = strstr(item, "####################");
  if (!stamp) exit(8);
  struct timespec next, now;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (; count > 0; count--) {
    next.tv_nsec += period_us * 1000;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long wait_ns = (next.tv_sec - now.tv_sec) * 1000000000 + (next.tv_nsec - now.tv_nsec);
    if (wait_ns > 0) {
      struct timespec rest = {wait_ns / 1000000000, wait_ns % 1000000000};
      nanosleep(&rest, NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    char digits[21];
    snprintf(digits, sizeof digits, "%20lld", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    memcpy(stamp, digits, 20);
    write_all(to, item, size);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  const char *mode = argv[1][0] == '-' ? "idle" : argv[1];
  sigset_t begin;
  int number, to = 1;
  sigemptyset(&begin);
  sigaddset(&begin, SIGUSR1);
  sigprocmask(SIG_BLOCK, &begin, NULL);
  if (strcmp(mode, "closed") != 0 && strcmp(mode, "lines") != 0) to = event_pipe();
  const char ready[] = "Waiting for protocol 002-PtBoreas to start...\n";
  write_all(1, ready, sizeof ready - 1);
  if (strcmp(mode, "idle") != 0 && strcmp(mode, "closed") != 0) {
    if (argc < 5) return 2;
    size_t size;
    char *data = content(argv[2], &size);
    long count = atol(argv[3]);
    sigwait(&begin, &number);
    if (strcmp(mode, "paced") == 0)
      write_paced(to, data, size, count, atol(argv[4]));
    else
      for (long i = 0; count == 0 || i < count; i++) write_all(to, data, size);
    if (strcmp(mode, "lines") == 0) return 0;
  }
  for (;;) pause();
}
