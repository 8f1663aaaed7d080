// A lean NBD load generator. It costs well under a microsecond of its own CPU per request, where
// fio's nbd engine takes several and saturates its own core before a fast server does.
//
//   nbd-load --address PATH-OR-127.0.0.1:PORT [--export NAME] [--write] [--sequential]
//            [--distinct] [--size 4096] [--depth 32] [--seconds 2] [--connections 1]
//            [--span BYTES] [--pid SERVER]
//
// --distinct visits each block of the span at most once, in a scattered order, and stops when none
// is left: first writes stay first writes. A run of writes ends with a flush, inside the time that
// is measured, so that nobody is ahead by leaving data in a cache. Prints one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 64, MAX_DEPTH = 512, REPLY_HEADER = 16, READ_BUFFER = 4 << 20 };
enum { NBD_READ = 0, NBD_WRITE = 1, NBD_DISCONNECT = 2, NBD_FLUSH = 3 };

struct __attribute__((packed)) request {
  uint32_t magic;
  uint16_t flags, type;
  uint64_t cookie, offset;
  uint32_t length;
};

static const char *address, *export_name = "";
static bool writing, sequential, distinct;
static uint32_t size = 4096;
static int depth = 32, connections = 1, server;
static double seconds = 2;
static uint64_t span = 1ull << 30;
static uint64_t completed[MAX_CONNECTIONS];

static void fail(const char *what) {
  fprintf(stderr, "nbd-load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void receive_all(int fd, void *buffer, size_t count) {
  for (char *p = buffer; count > 0;) {
    ssize_t got = recv(fd, p, count, 0);
    if (got <= 0) fail("receive");
    p += got;
    count -= got;
  }
}

static void send_all(int fd, const void *buffer, size_t count) {
  for (const char *p = buffer; count > 0;) {
    ssize_t sent = send(fd, p, count, MSG_NOSIGNAL);
    if (sent <= 0) fail("send");
    p += sent;
    count -= sent;
  }
}

static struct request make_request(uint16_t type, uint64_t offset, uint32_t length) {
  return (struct request){htobe32(0x25609513), 0, htobe16(type), 0, htobe64(offset),
                          htobe32(length)};
}

static int connect_to_server(void) {
  int fd;
  const char *colon = strchr(address, ':');
  if (colon && !strchr(address, '/')) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_aton("127.0.0.1", &in.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&in, sizeof in) != 0) fail(address);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  } else {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strncpy(un.sun_path, address, sizeof un.sun_path - 1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (void *)&un, sizeof un) != 0) fail(address);
  }
  char greeting[18], answer[10];
  receive_all(fd, greeting, sizeof greeting);
  uint32_t flags = htobe32(3), length = strlen(export_name);
  send_all(fd, &flags, sizeof flags);
  struct __attribute__((packed)) {
    uint64_t magic;
    uint32_t option, length;
  } option = {htobe64(0x49484156454F5054ull), htobe32(1), htobe32(length)};
  send_all(fd, &option, sizeof option);
  send_all(fd, export_name, length);
  receive_all(fd, answer, sizeof answer);
  return fd;
}

// One connection and what is on its way there.
struct stream {
  int fd, inflight, wanted;
  uint64_t done, next, random, blocks;
  int bits;
  bool exhausted;
  char header[REPLY_HEADER];
  size_t header_bytes, payload_left;
  char *payload, *buffer;
  struct request requests[MAX_DEPTH];
  struct iovec pieces[2 * MAX_DEPTH];
};

// A bijection on numbers of `bits` bits: scattered, and no number comes twice.
static uint64_t scatter(uint64_t x, int bits) {
  uint64_t mask = (1ull << bits) - 1;
  int half = bits > 1 ? bits / 2 : 1;
  for (int round = 0; round < 3; round++) {
    x ^= x >> half;
    x = (x * 0x9E3779B97F4A7C15ull + 0x632BE59BD9B4E019ull) & mask;
  }
  return x ^ (x >> half);
}

static bool next_block(struct stream *s, uint64_t *block) {
  if (distinct) {
    do {
      if (s->next >> s->bits) return false;
      *block = scatter(s->next, s->bits);
      s->next += connections;
    } while (*block >= s->blocks);
  } else if (sequential) {
    *block = s->next++ % s->blocks;
  } else {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    *block = s->random % s->blocks;
  }
  return true;
}

// Takes in `count` bytes of replies; gives how many replies became complete.
static int take_replies(struct stream *s, const char *bytes, size_t count) {
  int replies = 0;
  while (count > 0) {
    if (s->header_bytes < REPLY_HEADER) {
      size_t n = REPLY_HEADER - s->header_bytes;
      if (n > count) n = count;
      memcpy(s->header + s->header_bytes, bytes, n);
      s->header_bytes += n;
      bytes += n;
      count -= n;
      if (s->header_bytes < REPLY_HEADER) break;
      uint32_t word[2];
      memcpy(word, s->header, sizeof word);
      if (be32toh(word[0]) != 0x67446698 || word[1] != 0) {
        fprintf(stderr, "nbd-load: reply %08x with error %u\n", be32toh(word[0]), be32toh(word[1]));
        exit(1);
      }
      s->payload_left = writing ? 0 : size;
    }
    size_t n = s->payload_left < count ? s->payload_left : count;
    s->payload_left -= n;
    bytes += n;
    count -= n;
    if (s->payload_left == 0) {
      s->header_bytes = 0;
      replies++;
    }
  }
  return replies;
}

static void receive_some(struct stream *s, int flags) {
  ssize_t got = recv(s->fd, s->buffer, READ_BUFFER, flags);
  if (got < 0 && errno == EAGAIN) {
    nanosleep(&(struct timespec){0, 20000}, NULL);
    return;
  }
  if (got <= 0) fail("receive");
  int replies = take_replies(s, s->buffer, got);
  s->inflight -= replies;
  s->wanted += replies;
  s->done += replies;
}

static void send_wanted(struct stream *s) {
  int pieces = 0, count = 0;
  size_t left = 0;
  for (; count < s->wanted; count++) {
    uint64_t block;
    if (!next_block(s, &block)) {
      s->exhausted = true;
      break;
    }
    s->requests[count] = make_request(writing ? NBD_WRITE : NBD_READ, block * size, size);
    s->pieces[pieces++] = (struct iovec){&s->requests[count], sizeof(struct request)};
    left += sizeof(struct request);
    if (writing) {
      s->pieces[pieces++] = (struct iovec){s->payload, size};
      left += size;
    }
  }
  s->wanted = 0;
  // Replies that arrive meanwhile are for requests of before: they are wanted again next time.
  bool may_wait = s->inflight == 0;
  for (struct iovec *piece = s->pieces; left > 0;) {
    size_t remaining = s->pieces + pieces - piece;
    struct msghdr message = {.msg_iov = piece, .msg_iovlen = remaining > 1024 ? 1024 : remaining};
    ssize_t sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | (may_wait ? 0 : MSG_DONTWAIT));
    if (sent < 0 && errno == EAGAIN) {
      receive_some(s, MSG_DONTWAIT);
      continue;
    }
    if (sent <= 0) fail("send");
    for (left -= sent; sent > 0;) {
      if ((size_t)sent >= piece->iov_len) {
        sent -= piece->iov_len;
        piece++;
      } else {
        piece->iov_base = (char *)piece->iov_base + sent;
        piece->iov_len -= sent;
        sent = 0;
      }
    }
  }
  s->inflight += count;
}

static void *run_connection(void *argument) {
  long id = (long)argument;
  struct stream *s = calloc(1, sizeof *s);
  s->fd = connect_to_server();
  s->blocks = span / size;
  s->random = 88172645463325252ull + id * 7919;
  s->next = distinct ? id : sequential ? id * (s->blocks / connections) : 0;
  while (s->blocks > 1ull << s->bits) s->bits++;
  s->wanted = depth;
  s->buffer = malloc(READ_BUFFER);
  s->payload = malloc(size);
  // Bytes that no server can detect as zeros or as one repeated byte.
  for (uint32_t i = 0; i < size; i++) s->payload[i] = (char)(1 + (i * 2654435761u >> 24) % 255);

  double end = now() + seconds;
  while (true) {
    if (s->wanted > 0 && !s->exhausted && now() < end) send_wanted(s);
    if (s->inflight == 0) break;
    receive_some(s, 0);
  }
  completed[id] = s->done;
  if (writing) {
    struct request flush = make_request(NBD_FLUSH, 0, 0);
    char reply[REPLY_HEADER];
    send_all(s->fd, &flush, sizeof flush);
    receive_all(s->fd, reply, sizeof reply);
  }
  struct request goodbye = make_request(NBD_DISCONNECT, 0, 0);
  send_all(s->fd, &goodbye, sizeof goodbye);
  close(s->fd);
  return NULL;
}

// User and system seconds of a process, all its threads, kernel workers of its ring included.
static double server_cpu(void) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", server);
  FILE *file = server ? fopen(path, "r") : NULL;
  if (!file) return 0;
  size_t got = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[got] = 0;
  unsigned long user = 0, system = 0;
  char *rest = strrchr(text, ')');
  if (rest)
    sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static void read_options(int count, char **arguments) {
  static const struct option options[] = {
      {"address", 1, 0, 'a'},  {"export", 1, 0, 'e'},   {"write", 0, 0, 'w'},
      {"sequential", 0, 0, 'q'}, {"distinct", 0, 0, 'd'}, {"size", 1, 0, 's'},
      {"depth", 1, 0, 'n'},    {"seconds", 1, 0, 't'},  {"connections", 1, 0, 'c'},
      {"span", 1, 0, 'r'},     {"pid", 1, 0, 'p'},      {0}};
  for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
    switch (option) {
    case 'a': address = optarg; break;
    case 'e': export_name = optarg; break;
    case 'w': writing = true; break;
    case 'q': sequential = true; break;
    case 'd': distinct = true; break;
    case 's': size = strtoul(optarg, NULL, 0); break;
    case 'n': depth = atoi(optarg); break;
    case 't': seconds = atof(optarg); break;
    case 'c': connections = atoi(optarg); break;
    case 'r': span = strtoull(optarg, NULL, 0); break;
    case 'p': server = atoi(optarg); break;
    default: exit(2);
    }
  }
  if (!address || size < 512 || depth < 1 || depth > MAX_DEPTH || connections < 1 ||
      connections > MAX_CONNECTIONS || span < size) {
    fprintf(stderr, "nbd-load: see the head of nbd-load.c for the options\n");
    exit(2);
  }
}

int main(int count, char **arguments) {
  read_options(count, arguments);
  pthread_t threads[MAX_CONNECTIONS];
  double cpu = server_cpu(), start = now();
  for (long id = 0; id < connections; id++)
    pthread_create(&threads[id], NULL, run_connection, (void *)id);
  uint64_t total = 0;
  for (int id = 0; id < connections; id++) {
    pthread_join(threads[id], NULL);
    total += completed[id];
  }
  double elapsed = now() - start;
  cpu = server_cpu() - cpu;
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  double client = own.ru_utime.tv_sec + own.ru_stime.tv_sec +
                  (own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1e-6;
  double each = total ? 1e6 / total : 0;
  printf("{\"requests\": %llu, \"seconds\": %.3f, \"iops\": %.1f, \"megabytesPerSecond\": %.1f, "
         "\"serverMicrosecondsPerRequest\": %.3f, \"clientMicrosecondsPerRequest\": %.3f}\n",
         (unsigned long long)total, elapsed, total / elapsed, total * (double)size / elapsed / 1e6,
         cpu * each, client * each);
  return 0;
}
