#include "CBlockIO.h"
