// A model server for the bench that costs next to nothing: one process, epoll, answers written ahead.
// Usage: upstream CHUNKS_PER_SECOND; prints its port. Paths that begin with /large get answers of 64 KB.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { maxFd = 16384, capacity = 160 * 1024, slots = 1000 };

typedef struct {
  char *buffer;
  int size, streams, next, before, slot;
} Connection;

typedef struct {
  char *bytes;
  int length;
} Answer;

static Connection connections[maxFd];
/** Streams by the moment in their period at which they get their next chunk: the load is even. */
static int first[slots];
static int periodMs, nextSlot;

static Answer answer(const char *before, int textBytes, const char *after) {
  int body = strlen(before) + textBytes + strlen(after);
  Answer made = {malloc(body + 256), 0};
  int head = sprintf(made.bytes, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n", body);
  char *at = made.bytes + head;
  at = stpcpy(at, before);
  memset(at, 'x', textBytes);
  strcpy(at + textBytes, after);
  made.length = head + body;
  return made;
}

#define CHAT_HEAD                                                                                            \
  "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench-model\",\"choices\":[" \
  "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
#define CHAT_TAIL                                                \
  "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":200," \
  "\"completion_tokens\":180,\"total_tokens\":380}}"
#define RESPONSES_HEAD                                                                                          \
  "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"completed\",\"error\":null,"        \
  "\"incomplete_details\":null,\"model\":\"bench-model\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"status\":" \
  "\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\""
#define RESPONSES_TAIL                                                                    \
  "\"}]}],\"usage\":{\"input_tokens\":200,\"input_tokens_details\":{\"cached_tokens\":0}," \
  "\"output_tokens\":180,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":380}}"
#define MESSAGES_HEAD                                                                                \
  "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench-model\",\"content\":[" \
  "{\"type\":\"text\",\"text\":\""
#define MESSAGES_TAIL                                                                                   \
  "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":180}}"

static Answer chat, large, responses, messages, models, streamHead, chunk;

static void makeAnswers(void) {
  chat = answer(CHAT_HEAD, 740, CHAT_TAIL);
  large = answer(CHAT_HEAD, 65200, CHAT_TAIL);
  responses = answer(RESPONSES_HEAD, 540, RESPONSES_TAIL);
  messages = answer(MESSAGES_HEAD, 800, MESSAGES_TAIL);
  models = answer("{\"object\":\"list\",\"data\":[{\"id\":\"bench-model\",\"object\":\"model\"}]}", 0, "");
  streamHead.bytes = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  streamHead.length = strlen(streamHead.bytes);
  const char *event =
      "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench-model\","
      "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n";
  chunk.bytes = malloc(1024);
  chunk.length = sprintf(chunk.bytes, "%zx\r\n%s\r\n", strlen(event), event);
}

static void leave(int fd) {
  Connection *it = &connections[fd];
  if (it->streams) {
    if (it->before) connections[it->before].next = it->next;
    else first[it->slot] = it->next;
    if (it->next) connections[it->next].before = it->before;
  }
  free(it->buffer);
  memset(it, 0, sizeof *it);
  close(fd);
}

static int put(int fd, Answer what) {
  int sent = 0;
  while (sent < what.length) {
    ssize_t count = send(fd, what.bytes + sent, what.length - sent, MSG_NOSIGNAL);
    if (count > 0) sent += count;
    // A slow reader of a whole answer: only the large ones can meet this, and only for a moment.
    else if (count < 0 && errno == EAGAIN) usleep(20);
    else return -1;
  }
  return 0;
}

static void beginStream(int fd) {
  Connection *it = &connections[fd];
  it->slot = nextSlot = (nextSlot + 7) % periodMs;
  it->streams = 1;
  it->before = 0;
  it->next = first[it->slot];
  if (it->next) connections[it->next].before = fd;
  first[it->slot] = fd;
}

/** True when the answer is out; false when the connection is gone. */
static int serve(int fd, char *head, int headBytes, int bodyBytes) {
  char *lineEnd = memchr(head, '\r', headBytes);
  int line = lineEnd - head;
  char *body = head + headBytes;
  if (memmem(head, line, "/models", 7)) return put(fd, models) == 0;
  if (memmem(head, line, "/large", 6)) return put(fd, large) == 0;
  if (memmem(head, line, "/responses", 10)) return put(fd, responses) == 0;
  if (memmem(head, line, "/messages", 9)) return put(fd, messages) == 0;
  if (!memmem(body, bodyBytes < 200 ? bodyBytes : 200, "\"stream\":true", 13)) return put(fd, chat) == 0;
  if (put(fd, streamHead) != 0) return 0;
  beginStream(fd);
  return 1;
}

/** Length of the body; -1 where the head does not say it. */
static long lengthOf(char *head, int headBytes) {
  for (char *at = head; (at = memchr(at, '\n', head + headBytes - at)); at += 1)
    if (strncasecmp(at + 1, "content-length:", 15) == 0) return strtol(at + 16, NULL, 10);
  return strncmp(head, "GET", 3) == 0 ? 0 : -1;
}

static void readable(int fd) {
  Connection *it = &connections[fd];
  if (!it->buffer) it->buffer = malloc(capacity);
  ssize_t count = recv(fd, it->buffer + it->size, capacity - it->size, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return leave(fd);
  it->size += count;
  char *end = memmem(it->buffer, it->size, "\r\n\r\n", 4);
  if (!end) return;
  int headBytes = end + 4 - it->buffer;
  long bodyBytes = lengthOf(it->buffer, headBytes);
  if (bodyBytes < 0) {
    fprintf(stderr, "the bench's upstream needs Content-Length: %.*s\n", headBytes, it->buffer);
    return leave(fd);
  }
  if (it->size < headBytes + bodyBytes) return;
  it->size = 0;
  if (!serve(fd, it->buffer, headBytes, bodyBytes)) leave(fd);
}

static void emit(int slot) {
  for (int fd = first[slot], next; fd; fd = next) {
    next = connections[fd].next;
    // Who cannot take it misses this chunk: what arrives is counted on the other side.
    ssize_t count = send(fd, chunk.bytes, chunk.length, MSG_NOSIGNAL);
    if (count < 0 ? errno != EAGAIN : count != chunk.length) leave(fd);
  }
}

int main(int count, char **words) {
  periodMs = 1000 / (count > 1 ? atoi(words[1]) : 50);
  makeAnswers();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) return perror("listen"), 1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec everyMs = {{0, 1000000}, {0, 1000000}};
  timerfd_settime(clock, 0, &everyMs, NULL);
  int queue = epoll_create1(0);
  for (int index = 0; index < 2; index += 1) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = index ? clock : listener};
    epoll_ctl(queue, EPOLL_CTL_ADD, event.data.fd, &event);
  }
  struct epoll_event events[512];
  long tick = 0;
  for (;;) {
    int ready = epoll_wait(queue, events, 512, -1);
    for (int index = 0; index < ready; index += 1) {
      int fd = events[index].data.fd;
      if (fd == listener) {
        int made;
        while ((made = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          if (made >= maxFd) {
            close(made);
            continue;
          }
          setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          struct epoll_event event = {.events = EPOLLIN, .data.fd = made};
          epoll_ctl(queue, EPOLL_CTL_ADD, made, &event);
        }
      } else if (fd == clock) {
        unsigned long passed;
        if (read(clock, &passed, sizeof passed) != sizeof passed) continue;
        for (; passed > 0; passed -= 1) emit(tick++ % periodMs);
      } else readable(fd);
    }
  }
}
