#include "SocketAccess.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(int fd) {
  int error = errno;
  if (fd >= 0) close(fd);
  return -error;
}

int lamina_listen_internet(const char *address, uint16_t port, int only_v6) {
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  memset(&v4, 0, sizeof v4);
  memset(&v6, 0, sizeof v6);
  int is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
  if (!is_v6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1) return -EINVAL;
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);

  int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) return fail(fd);
  if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6) < 0)
    return fail(fd);
  const struct sockaddr *to = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
  if (bind(fd, to, is_v6 ? sizeof v6 : sizeof v4) < 0) return fail(fd);
  if (listen(fd, 128) < 0) return fail(fd);
  return fd;
}

static int unix_address(const char *path, struct sockaddr_un *to) {
  memset(to, 0, sizeof *to);
  to->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof to->sun_path) return -ENAMETOOLONG;
  strcpy(to->sun_path, path);
  return 0;
}

int lamina_listen_unix(const char *path, uint64_t *device, uint64_t *inode) {
  struct sockaddr_un to;
  int status = unix_address(path, &to);
  if (status < 0) return status;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (bind(fd, (struct sockaddr *)&to, sizeof to) < 0) return fail(fd);
  struct stat s;
  if (lstat(path, &s) < 0 || listen(fd, 128) < 0) {
    status = fail(fd);
    unlink(path);
    return status;
  }
  *device = s.st_dev;
  *inode = s.st_ino;
  return fd;
}

int lamina_probe_unix(const char *path) {
  struct stat s;
  if (lstat(path, &s) < 0) return -errno;
  if (!S_ISSOCK(s.st_mode)) return -ENOTSOCK;
  struct sockaddr_un to;
  int status = unix_address(path, &to);
  if (status < 0) return status;
  // Not blocking: a full backlog (EAGAIN) also means that somebody listens.
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int connected = connect(fd, (struct sockaddr *)&to, sizeof to);
  int error = errno;
  close(fd);
  if (connected == 0 || error == EAGAIN || error == EINPROGRESS || error == EPROTOTYPE) return 1;
  return error == ECONNREFUSED ? 0 : -error;
}

void lamina_remove_socket_file(const char *path, uint64_t device, uint64_t inode) {
  struct stat s;
  if (lstat(path, &s) == 0 && s.st_dev == device && s.st_ino == inode) unlink(path);
}

int lamina_bound_port(int fd) {
  struct sockaddr_storage a;
  socklen_t length = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &length) < 0) return -errno;
  if (a.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&a)->sin_port);
  if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
  return -EAFNOSUPPORT;
}

int lamina_listener_address(int fd, char *text, uint64_t capacity) {
  int value = 0;
  socklen_t size = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0) return -errno;
  if (!value) return -EINVAL;
  size = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0) return -errno;
  if (value != SOCK_STREAM) return -EINVAL;
  struct sockaddr_storage a;
  socklen_t length = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &length) < 0) return -errno;
  char host[INET6_ADDRSTRLEN] = "";
  int written;
  if (a.ss_family == AF_UNIX) {
    struct sockaddr_un *u = (struct sockaddr_un *)&a;
    size_t bytes = length - offsetof(struct sockaddr_un, sun_path);
    if (length <= offsetof(struct sockaddr_un, sun_path) || u->sun_path[0] == 0)
      return -EAFNOSUPPORT;
    written = snprintf(text, capacity, "unix:%.*s", (int)strnlen(u->sun_path, bytes), u->sun_path);
  } else if (a.ss_family == AF_INET) {
    struct sockaddr_in *i = (struct sockaddr_in *)&a;
    inet_ntop(AF_INET, &i->sin_addr, host, sizeof host);
    written = snprintf(text, capacity, "%s:%u", host, ntohs(i->sin_port));
  } else if (a.ss_family == AF_INET6) {
    struct sockaddr_in6 *i = (struct sockaddr_in6 *)&a;
    inet_ntop(AF_INET6, &i->sin6_addr, host, sizeof host);
    written = snprintf(text, capacity, "[%s]:%u", host, ntohs(i->sin6_port));
  } else {
    return -EAFNOSUPPORT;
  }
  if (written < 0 || (uint64_t)written >= capacity) return -ENAMETOOLONG;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  return 0;
}

void lamina_disable_delay(int fd) {
  int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void lamina_shut_down(int fd) { (void)shutdown(fd, SHUT_RDWR); }
