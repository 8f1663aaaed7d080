#include "DeviceSignature.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void copy_value(blkid_probe probe, const char *name, char *to, size_t capacity) {
  const char *value = NULL;
  if (blkid_probe_lookup_value(probe, name, &value, NULL) == 0 && value)
    snprintf(to, capacity, "%s", value);
}

int lamina_probe_signature(int fd, struct lamina_signature *found) {
  memset(found, 0, sizeof *found);
  blkid_probe probe = blkid_new_probe();
  if (!probe) return -ENOMEM;
  int status = -EIO;
  errno = 0;
  if (blkid_probe_set_device(probe, fd, 0, 0) != 0) goto out;
  blkid_probe_enable_superblocks(probe, 1);
  blkid_probe_set_superblocks_flags(
      probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL);
  blkid_probe_enable_partitions(probe, 1);
  errno = 0;
  switch (blkid_do_safeprobe(probe)) {
    case 0: status = 1; break;
    case 1: status = 0; break;
    case -2: status = 2; break;
    default: status = errno > 0 ? -errno : -EIO; break;
  }
  if (status > 0) {
    copy_value(probe, "TYPE", found->type, sizeof found->type);
    copy_value(probe, "USAGE", found->usage, sizeof found->usage);
    copy_value(probe, "LABEL", found->label, sizeof found->label);
    copy_value(probe, "PTTYPE", found->partition_table, sizeof found->partition_table);
  }
out:
  blkid_free_probe(probe);
  return status;
}
