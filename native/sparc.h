// What SPARC needs to be looked at for: its delay slots, and how libunicorn keeps the pc behind them.
#pragma once
#include "libunicorn.h"

// The instruction at the address is a branch, call or jump whose delay slot comes after it.
bool HasDelaySlot(uc_engine* uc, uint64_t address);

// Whether a hook on an instruction in a delay slot makes this libunicorn forget where the jump before it goes: 2.1.4 does
// (it stores a mark of its translator's as the next pc). Tried once for each mode, on an emulator of its own.
bool ForgetsJumps(uc_mode mode);
