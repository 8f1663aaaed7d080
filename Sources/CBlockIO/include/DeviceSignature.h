#ifndef LAMINA_DEVICESIGNATURE_H
#define LAMINA_DEVICESIGNATURE_H
#include <stdint.h>

struct lamina_signature {
  /// File system, volume manager, RAID or encryption type ("ext4", "LVM2_member"), or empty.
  char type[64];
  /// What it is used as: "filesystem", "raid", "crypto" or "other", or empty.
  char usage[32];
  char label[128];
  /// Partition table ("gpt", "dos"), or empty.
  char partition_table[32];
};

/// Asks libblkid what the file or block device carries. Returns 1 if something known, 0 if nothing,
/// 2 if several that contradict each other, else -errno.
int lamina_probe_signature(int fd, struct lamina_signature *found);

#endif
