/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mipsel.h"
#define ADD addiu
#include "mips.S"
