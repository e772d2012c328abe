/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mips64el.h"
#define ADD daddiu
#include "mips.S"
