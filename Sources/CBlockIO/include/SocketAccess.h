#ifndef LAMINA_SOCKETACCESS_H
#define LAMINA_SOCKETACCESS_H
#include <stdint.h>

// Each returns a descriptor or 0, or -errno. Sockets are blocking (the ring polls them) and closed
// on exec.

/// A listening socket on a numeric IPv4 or IPv6 address. `only_v6`: an IPv6 socket does not take
/// IPv4 connections too.
int lamina_listen_internet(const char *address, uint16_t port, int only_v6);
/// A listening socket on a path that must not exist (-EADDRINUSE if it does). The identity of the
/// new socket file is returned for `lamina_remove_socket_file`.
int lamina_listen_unix(const char *path, uint64_t *device, uint64_t *inode);
/// Who is at a path that could not be bound: 1 a listening server, 0 a socket file that nobody
/// listens on, -ENOTSOCK something that is no socket, -ENOENT nothing.
int lamina_probe_unix(const char *path);
/// Where an inherited descriptor listens, as `unix:PATH`, `HOST:PORT` or `[HOST]:PORT`: 0, or
/// -ENOTSOCK, -EINVAL (no listening stream socket), -EAFNOSUPPORT (of another family, or without a
/// path), -ENAMETOOLONG. Sets close-on-exec.
int lamina_listener_address(int fd, char *text, uint64_t capacity);
/// Removes the socket file if it still is the one with this identity.
void lamina_remove_socket_file(const char *path, uint64_t device, uint64_t inode);
/// The port that an Internet socket is bound to.
int lamina_bound_port(int fd);
/// TCP_NODELAY; does nothing on other sockets.
void lamina_disable_delay(int fd);
/// Ends both directions, so that everything waiting on the socket ends.
void lamina_shut_down(int fd);

#endif
