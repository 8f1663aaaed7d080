#include "SystemIdentity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint64_t lamina_random(void) {
  uint64_t value;
  // Eight bytes are never split; only a signal before the kernel's pool is ready interrupts.
  while (getrandom(&value, sizeof value, 0) != sizeof value) {
  }
  return value;
}

uint64_t lamina_process_start(int32_t process) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", process);
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  // The name in field 2 may hold spaces and brackets: count from the last bracket.
  char *at = strrchr(text, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  return at ? strtoull(at + 1, NULL, 10) : 0;
}
