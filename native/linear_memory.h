// A WebAssembly.Memory and where its bytes are. Growing replaces its ArrayBuffer, which is detached then.
#pragma once
#include <cstddef>
#include <cstdint>

#include "anchor.h"

class LinearMemory {
 public:
  LinearMemory() = default;
  // Anything but a WebAssembly.Memory that is not shared between threads has no bytes.
  LinearMemory(Anchor& anchor, napi_value memory);

  // Null when there are none any more, with a size of 0. To be asked again whenever JavaScript has run. Does not throw.
  uint8_t* Find(size_t* size);

 private:
  Anchor* anchor_ = nullptr;
  Kept memory_;
  Kept buffer_;
};
