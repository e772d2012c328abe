/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ppc64.h"
