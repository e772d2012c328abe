// What s390x needs to be looked at for: where libunicorn keeps the condition code.
#pragma once

// Whether a stop in the middle of a block loses the condition code: up to 2.1.1 it is not where it can be saved then, in
// 2.1.4 it is. Tried once, on an emulator of its own.
bool LosesConditionCode();
