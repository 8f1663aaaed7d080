#ifndef LAMINA_CBLOCKIO_H
#define LAMINA_CBLOCKIO_H
// features.h comes first: liburing.h needs it for fd_set when Swift imports Glibc beside it.
#include <features.h>
// The kernel's own header before liburing's copy of it (they share a guard): swift-system includes
// the former, and a module that sees both must see one definition.
#include <linux/io_uring.h>
#include <liburing.h>
#include <stdint.h>

#include "DeviceFile.h"
#include "DeviceSignature.h"
#include "RingAccess.h"
#include "SocketAccess.h"
#include "SystemIdentity.h"

#endif
