// What the JavaScript half of a native object keeps alive for it. A strong reference of native code's own would be a root
// of the collector's: a callback that reaches its own emulator would keep both for ever. Held by the object itself, in a
// list that native code finds through a weak reference, the collector sees the whole circle. Nothing here throws, so all
// of it may be used in callbacks of libunicorn; values are got within a handle scope of the caller's.
#pragma once
#include <node_api.h>

#include <cstdint>
#include <vector>

class Anchor {
 public:
  // `owner`: the JavaScript object that a native one is wrapped by.
  Anchor(napi_env env, napi_value owner);
  ~Anchor();
  Anchor(const Anchor&) = delete;
  Anchor& operator=(const Anchor&) = delete;

  napi_env env() const { return env_; }

 private:
  friend class Kept;
  bool Put(napi_value value, uint32_t* place);
  void Remove(uint32_t place);
  napi_value List() const;

  napi_env env_;
  napi_ref list_ = nullptr;
  uint32_t places_ = 0;
  std::vector<uint32_t> free_;
};

// An object or a function of JavaScript's, alive as long as this and the anchor's owner are.
class Kept {
 public:
  Kept() = default;
  Kept(Anchor& anchor, napi_value value);
  ~Kept() { Release(); }
  Kept(Kept&& other) noexcept;
  Kept& operator=(Kept&& other) noexcept;

  void Release();
  bool empty() const { return reference_ == nullptr; }
  // Null when nothing is kept, or the owner is gone.
  napi_value Get() const {
    napi_value value = nullptr;
    if (reference_ != nullptr) napi_get_reference_value(anchor_->env_, reference_, &value);
    return value;
  }

 private:
  Anchor* anchor_ = nullptr;
  napi_ref reference_ = nullptr;
  uint32_t place_ = 0;
};
