// A file of its own: the kernel's struct statx, which has the alignment fields, and glibc's, which
// does not, exclude each other.
#include "DeviceFile.h"

#include <errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/syscall.h>

extern long syscall(long number, ...);

int lamina_direct_alignment(int fd, uint32_t *memory, uint32_t *offset) {
  *memory = 0;
  *offset = 0;
  struct statx s;
  memset(&s, 0, sizeof s);
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) < 0)
    return errno == ENOSYS ? 0 : -errno;
  if (s.stx_mask & STATX_DIOALIGN) {
    *memory = s.stx_dio_mem_align;
    *offset = s.stx_dio_offset_align;
  }
  return 0;
}
