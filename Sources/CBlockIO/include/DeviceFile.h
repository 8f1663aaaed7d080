#ifndef LAMINA_DEVICEFILE_H
#define LAMINA_DEVICEFILE_H
#include <stdint.h>

enum lamina_file_kind { LAMINA_FILE_OTHER = 0, LAMINA_FILE_REGULAR = 1, LAMINA_FILE_BLOCK = 2 };

struct lamina_file_facts {
  enum lamina_file_kind kind;
  uint64_t size_bytes;
  /// Block devices only, else 0.
  uint32_t logical_sector_bytes;
};

enum lamina_open_mode {
  LAMINA_OPEN_READ = 0,
  LAMINA_OPEN_WRITE = 1,
  /// Create a new file; EEXIST if there is one.
  LAMINA_OPEN_CREATE = 2,
  /// Claim a block device (O_EXCL without O_CREAT); EBUSY if it is claimed.
  LAMINA_OPEN_CLAIM = 4,
};

// All return 0 (or what is said) or -errno.

/// Never blocks, does not follow a terminal, is closed on exec. Returns the descriptor.
int lamina_file_open(const char *path, int mode);
int lamina_file_facts(int fd, struct lamina_file_facts *facts);
/// The kind of what a path names, without opening it.
int lamina_path_kind(const char *path, enum lamina_file_kind *kind);
/// Leaves the non-blocking mode of `lamina_file_open`; with O_DIRECT if `direct`. -EINVAL: the file
/// system has no O_DIRECT.
int lamina_file_set_cache(int fd, int direct);
/// Takes a lock on the whole file that belongs to the open file description (F_OFD_SETLK).
/// -EAGAIN or -EACCES: another has it.
int lamina_file_lock(int fd, int exclusive);
/// Gives the lock back at once. A close alone does so only when no child process between fork and
/// exec shares the description.
void lamina_file_unlock(int fd);
/// What direct I/O on the file needs (STATX_DIOALIGN), in bytes; both 0 if the kernel does not say.
int lamina_direct_alignment(int fd, uint32_t *memory, uint32_t *offset);
/// Makes the entry of `path` in its folder durable.
int lamina_sync_parent(const char *path);
/// BLKDISCARD.
int lamina_block_discard(int fd, uint64_t offset, uint64_t length);
/// 1 if the file lies in memory (tmpfs, ramfs), 0 if not.
int lamina_is_in_memory(int fd);

#endif
