#include "RingAccess.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

int lamina_ring_create(
    struct io_uring *ring, unsigned submission_entries, unsigned completion_entries,
    int disabled) {
  static const unsigned preferences[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,  // Linux 6.1
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,   // Linux 6.0
      IORING_SETUP_COOP_TASKRUN,                                // Linux 5.19
  };
  int status = -EINVAL;
  for (unsigned i = 0; i < sizeof preferences / sizeof *preferences; i++) {
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    p.flags = preferences[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL
            | (disabled ? IORING_SETUP_R_DISABLED : 0);
    p.cq_entries = completion_entries;
    status = io_uring_queue_init_params(submission_entries, ring, &p);
    if (status != -EINVAL) return status;
  }
  return status;
}

int lamina_wake_descriptor(void) {
  int fd = eventfd(0, EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int lamina_ring_enable(struct io_uring *ring) {
  // liburing 2.3 declares io_uring_enable_rings and does not export it.
  int status = io_uring_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (status < 0) return status;
  // Saves a descriptor look-up per turn; the ring works without.
  (void)io_uring_register_ring_fd(ring);
  return 0;
}

int lamina_ring_turn(struct io_uring *ring, uint64_t timeout_nanoseconds) {
  if (timeout_nanoseconds == 0) return io_uring_submit_and_get_events(ring);
  if (timeout_nanoseconds == UINT64_MAX) return io_uring_submit_and_wait(ring, 1);
  struct __kernel_timespec t = {
      .tv_sec = (long long)(timeout_nanoseconds / 1000000000u),
      .tv_nsec = (long long)(timeout_nanoseconds % 1000000000u)};
  struct io_uring_cqe *first;
  return io_uring_submit_and_wait_timeout(ring, &first, 1, &t, NULL);
}
