#include "DeviceFile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int status_of(int result) { return result < 0 ? -errno : 0; }

int lamina_file_open(const char *path, int mode) {
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  flags |= (mode & LAMINA_OPEN_WRITE) ? O_RDWR : O_RDONLY;
  if (mode & LAMINA_OPEN_CREATE) flags |= O_CREAT | O_EXCL;
  if (mode & LAMINA_OPEN_CLAIM) flags |= O_EXCL;
  int fd;
  do fd = open(path, flags, 0600);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

static enum lamina_file_kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return LAMINA_FILE_REGULAR;
  if (S_ISBLK(mode)) return LAMINA_FILE_BLOCK;
  return LAMINA_FILE_OTHER;
}

int lamina_file_facts(int fd, struct lamina_file_facts *facts) {
  struct stat s;
  if (fstat(fd, &s) < 0) return -errno;
  facts->kind = kind_of(s.st_mode);
  facts->size_bytes = (uint64_t)s.st_size;
  facts->logical_sector_bytes = 0;
  if (facts->kind != LAMINA_FILE_BLOCK) return 0;
  uint64_t size = 0;
  int sector = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) < 0) return -errno;
  if (ioctl(fd, BLKSSZGET, &sector) < 0) return -errno;
  facts->size_bytes = size;
  facts->logical_sector_bytes = (uint32_t)sector;
  return 0;
}

int lamina_path_kind(const char *path, enum lamina_file_kind *kind) {
  struct stat s;
  if (stat(path, &s) < 0) return -errno;
  *kind = kind_of(s.st_mode);
  return 0;
}

int lamina_file_set_cache(int fd, int direct) {
  return status_of(fcntl(fd, F_SETFL, direct ? O_DIRECT : 0));
}

static int set_lock(int fd, short type) {
  struct flock whole;
  memset(&whole, 0, sizeof whole);
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  return status_of(fcntl(fd, F_OFD_SETLK, &whole));
}

int lamina_file_lock(int fd, int exclusive) {
  return set_lock(fd, exclusive ? F_WRLCK : F_RDLCK);
}

void lamina_file_unlock(int fd) { (void)set_lock(fd, F_UNLCK); }

int lamina_sync_parent(const char *path) {
  char copy[PATH_MAX];
  if (strlen(path) >= sizeof copy) return -ENAMETOOLONG;
  strcpy(copy, path);
  int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int status = status_of(fsync(fd));
  close(fd);
  return status;
}

int lamina_block_discard(int fd, uint64_t offset, uint64_t length) {
  uint64_t range[2] = {offset, length};
  return status_of(ioctl(fd, BLKDISCARD, range));
}

int lamina_is_in_memory(int fd) {
  struct statfs s;
  if (fstatfs(fd, &s) < 0) return -errno;
  return s.f_type == TMPFS_MAGIC || s.f_type == RAMFS_MAGIC;
}
