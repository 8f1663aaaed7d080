#ifndef LAMINA_CALLOCATIONCOUNTER_H
#define LAMINA_CALLOCATIONCOUNTER_H
#include <stdint.h>

/// How many heap allocations the calling thread has made since it started. Always 0 under
/// AddressSanitizer and ThreadSanitizer, which bring their own allocator.
uint64_t lamina_allocation_count(void);

#endif
