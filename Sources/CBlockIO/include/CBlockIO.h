#ifndef LAMINA_CBLOCKIO_H
#define LAMINA_CBLOCKIO_H
// features.h comes first: liburing.h needs it for fd_set when Swift imports Glibc beside it.
#include <features.h>
#include <liburing.h>
#include <stdint.h>

#include "DeviceFile.h"
#include "DeviceSignature.h"
#include "RingAccess.h"
#include "SocketAccess.h"
#include "SystemIdentity.h"

#endif
