#ifndef LAMINA_SYSTEMIDENTITY_H
#define LAMINA_SYSTEMIDENTITY_H
#include <stdint.h>

/// 64 random bits of the kernel; waits until it has them (only early at boot).
uint64_t lamina_random(void);
/// When the process started, in clock ticks since boot (field 22 of /proc/PID/stat); 0 if there is
/// no such process.
uint64_t lamina_process_start(int32_t process);

#endif
