// A load generator for the bench: keep-alive connections, one request at a time on each, from one file.
// Usage: load MODE PORT CONNECTIONS SECONDS REQUEST_FILE [PER_SECOND]
//   closed: each connection asks again as soon as it has its answer · open: requests at random moments, PER_SECOND on
//   average, timed from the moment at which they were due · streams: answers without end; their events are counted
// Prints "begin" after one second of warming up, and one line of JSON at the end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { maxConnections = 4096, maxHead = 8192, bucketCount = 400000, maxDue = 1 << 20 };

typedef struct {
  int fd, busy, sent, headBytes, isChunked;
  /** Body bytes to come; of chunked answers the last bytes seen. */
  long left;
  double begun;
  char head[maxHead];
  char last[5];
} Connection;

static Connection connections[maxConnections];
static char *request;
static int requestBytes, port, queue, isOpen, isStreams, measuring;
static long answers, failures, events;
/** Of 1 µs each. */
static unsigned buckets[bucketCount];
static double due[maxDue];
static long dueFirst, dueEnd;
static int idle[maxConnections], idleCount;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static void connectAt(int index) {
  Connection *it = &connections[index];
  memset(it, 0, sizeof *it);
  it->fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(it->fd, (struct sockaddr *)&address, sizeof address)) fail("cannot connect");
  int on = 1;
  setsockopt(it->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  epoll_ctl(queue, EPOLL_CTL_ADD, it->fd, &event);
}

static void push(Connection *it) {
  while (it->sent < requestBytes) {
    ssize_t count = send(it->fd, request + it->sent, requestBytes - it->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) it->sent += count;
    else break;
  }
  struct epoll_event event = {.events = it->sent < requestBytes ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.u32 = it - connections};
  if (it->sent < requestBytes || requestBytes > 32768) epoll_ctl(queue, EPOLL_CTL_MOD, it->fd, &event);
}

static void ask(int index, double begun) {
  Connection *it = &connections[index];
  it->busy = 1;
  it->begun = begun;
  it->sent = it->headBytes = it->isChunked = 0;
  memset(it->last, 0, sizeof it->last);
  push(it);
}

static void answered(int index) {
  Connection *it = &connections[index];
  it->busy = 0;
  double at = now();
  if (measuring) {
    long us = (at - it->begun) * 1e6;
    buckets[us < bucketCount ? us : bucketCount - 1] += 1;
    answers += 1;
  }
  if (!isOpen) ask(index, at);
  else if (dueFirst < dueEnd) ask(index, due[dueFirst++ % maxDue]);
  else idle[idleCount++] = index;
}

static void countEvents(Connection *it, char *bytes, int size) {
  char before = it->last[4];
  for (char *at = bytes; (at = memchr(at, '\n', bytes + size - at)); at += 1)
    if ((at > bytes ? at[-1] : before) == '\n') events += measuring;
  it->last[4] = bytes[size - 1];
}

/** True when the answer is whole. */
static int takeBody(Connection *it, char *bytes, int size) {
  if (size == 0) return it->left == 0 && !it->isChunked;
  if (isStreams) return countEvents(it, bytes, size), 0;
  if (!it->isChunked) return (it->left -= size) <= 0;
  char end[10];
  int kept = size < 5 ? size : 5;
  memmove(it->last, it->last + kept, 5 - kept);
  memcpy(it->last + 5 - kept, bytes + size - kept, kept);
  memcpy(end, it->last, 5);
  return memcmp(end, "0\r\n\r\n", 5) == 0;
}

static int takeHead(Connection *it) {
  char *end = memmem(it->head, it->headBytes, "\r\n\r\n", 4);
  if (!end) return it->headBytes >= maxHead ? -1 : 0;
  if (memcmp(it->head, "HTTP/1.1 200", 12) != 0) {
    if (failures == 0) fprintf(stderr, "%.*s\n", it->headBytes, it->head);
    failures += 1;
  }
  *end = 0;
  char *length = strcasestr(it->head, "\r\ncontent-length:");
  it->isChunked = length == NULL;
  it->left = length ? strtol(length + 17, NULL, 10) : 0;
  return end + 4 - it->head;
}

static void readable(int index) {
  static char bytes[262144];
  Connection *it = &connections[index];
  ssize_t size = recv(it->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) {
    failures += 1;
    if (failures > 100) fail("connections break");
    int wasBusy = it->busy;
    close(it->fd);
    connectAt(index);
    if (wasBusy) ask(index, now());
    return;
  }
  int start = 0;
  if (it->headBytes >= 0) {
    int kept = size < maxHead - it->headBytes ? size : maxHead - it->headBytes;
    memcpy(it->head + it->headBytes, bytes, kept);
    int before = it->headBytes;
    it->headBytes += kept;
    int headEnd = takeHead(it);
    if (headEnd < 0) fail("an answer with an endless head");
    if (headEnd == 0) return;
    start = headEnd - before;
    it->headBytes = -1;
  }
  if (takeBody(it, bytes + start, size - start)) answered(index);
}

static double percentile(double share) {
  long wanted = answers * share, seen = 0;
  for (int us = 0; us < bucketCount; us += 1)
    if ((seen += buckets[us]) > wanted) return us;
  return 0;
}

int main(int count, char **words) {
  if (count < 6) fail("MODE PORT CONNECTIONS SECONDS REQUEST_FILE [PER_SECOND]");
  isOpen = strcmp(words[1], "open") == 0;
  isStreams = strcmp(words[1], "streams") == 0;
  port = atoi(words[2]);
  int connectionCount = atoi(words[3]);
  double seconds = atof(words[4]), perSecond = count > 6 ? atof(words[6]) : 0;
  FILE *file = fopen(words[5], "rb");
  if (!file || connectionCount > maxConnections) fail("the request cannot be read, or too many connections");
  request = malloc(1 << 20);
  requestBytes = fread(request, 1, 1 << 20, file);
  queue = epoll_create1(0);
  srand48(1);
  for (int index = 0; index < connectionCount; index += 1) {
    connectAt(index);
    if (isOpen) idle[idleCount++] = index;
    else ask(index, now());
    // A moment for the other side's queue of new connections.
    if (index % 64 == 63) usleep(20000);
  }
  double start = now(), begin = start + (isStreams ? 2 : 1), nextDue = start;
  struct epoll_event ready[512];
  for (;;) {
    double at = now();
    if (!measuring && at >= begin) {
      measuring = 1;
      begin = at;
      puts("begin");
      fflush(stdout);
    }
    if (measuring && at >= begin + seconds) break;
    for (; isOpen && nextDue <= at; nextDue -= log(1 - drand48()) / perSecond) {
      if (idleCount > 0) ask(idle[--idleCount], nextDue);
      else if (dueEnd - dueFirst < maxDue) due[dueEnd++ % maxDue] = nextDue;
    }
    double wait = isOpen ? nextDue - at : 0.05;
    struct timespec limit = {(long)wait, (long)((wait - (long)wait) * 1e9)};
    int some = epoll_pwait2(queue, ready, 512, &limit, NULL);
    for (int index = 0; index < some; index += 1) {
      Connection *it = &connections[ready[index].data.u32];
      if (ready[index].events & EPOLLOUT) push(it);
      if (ready[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(ready[index].data.u32);
    }
  }
  double took = now() - begin;
  printf("{\"seconds\":%.6f,\"answers\":%ld,\"failures\":%ld,\"events\":%ld,\"p50us\":%.0f,\"p99us\":%.0f}\n", took, answers,
         failures, events, percentile(0.5), percentile(0.99));
  return 0;
}
