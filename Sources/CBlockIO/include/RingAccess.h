#ifndef LAMINA_RINGACCESS_H
#define LAMINA_RINGACCESS_H
#include <features.h>
#include <liburing.h>
#include <stdint.h>

// Enum arithmetic and macros that Swift does not import.
static const uint8_t LAMINA_SQE_FIXED_FILE = IOSQE_FIXED_FILE;
static const uint8_t LAMINA_SQE_ASYNC = IOSQE_ASYNC;
static const uint32_t LAMINA_CQE_MORE = IORING_CQE_F_MORE;
static const uint16_t LAMINA_ACCEPT_MULTISHOT = IORING_ACCEPT_MULTISHOT;
static const uint32_t LAMINA_FSYNC_DATASYNC = IORING_FSYNC_DATASYNC;
static const uint32_t LAMINA_WAIT_FOR_ALL = 0x100;  // MSG_WAITALL
static const uint32_t LAMINA_NO_SIGNAL = 0x4000;    // MSG_NOSIGNAL
static const uint32_t LAMINA_CLOSE_ON_EXEC = 02000000;  // SOCK_CLOEXEC
/// FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
static const uint32_t LAMINA_PUNCH_HOLE = 0x03;

/// Creates a ring with the best setup that the kernel has, disabled until `lamina_ring_enable` if
/// `disabled` is not 0 (so that another thread may become its only issuer). Returns 0 or -errno;
/// -EINVAL means that the kernel is older than 5.19.
int lamina_ring_create(
    struct io_uring *ring, unsigned submission_entries, unsigned completion_entries, int disabled);

/// Makes the calling thread the ring's only issuer and registers the ring's own descriptor with
/// it. Returns 0 or -errno.
int lamina_ring_enable(struct io_uring *ring);

/// Submits what is queued and waits for one completion: not at all if the timeout is 0, for ever if
/// it is UINT64_MAX. Returns the number submitted or -errno.
int lamina_ring_turn(struct io_uring *ring, uint64_t timeout_nanoseconds);

/// An eventfd with count 0, or -errno.
int lamina_wake_descriptor(void);

/// Fills the next submission entry; returns 0 if the queue is full. `address`, `length`, `offset`
/// and `options` are the fields of `struct io_uring_sqe` in its order.
static inline int lamina_ring_push(
    struct io_uring *ring, uint8_t operation, uint8_t flags, uint16_t priority, int32_t file,
    uint64_t offset, uint64_t address, uint32_t length, uint32_t options, uint64_t tag) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
  if (!sqe) return 0;
  sqe->opcode = operation;
  sqe->flags = flags;
  sqe->ioprio = priority;
  sqe->fd = file;
  sqe->off = offset;
  sqe->addr = address;
  sqe->len = length;
  sqe->rw_flags = (__kernel_rwf_t)options;
  sqe->user_data = tag;
  sqe->buf_index = 0;
  sqe->personality = 0;
  sqe->file_index = 0;
  sqe->addr3 = 0;
  sqe->__pad2[0] = 0;
  return 1;
}

struct lamina_completion {
  uint64_t tag;
  int32_t result;
  uint32_t flags;
};

/// Takes the next completion; only when `io_uring_cq_ready` said that there is one.
static inline struct lamina_completion lamina_ring_pop(struct io_uring *ring) {
  unsigned head = *ring->cq.khead;
  const struct io_uring_cqe *cqe = &ring->cq.cqes[head & ring->cq.ring_mask];
  struct lamina_completion c = {cqe->user_data, cqe->res, cqe->flags};
  io_uring_cq_advance(ring, 1);
  return c;
}

#endif
