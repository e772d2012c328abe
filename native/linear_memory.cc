#include "linear_memory.h"

LinearMemory::LinearMemory(Anchor& anchor, napi_value memory) : anchor_(&anchor) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(anchor.env(), memory, &type) == napi_ok && type == napi_object) memory_ = Kept(anchor, memory);
}

uint8_t* LinearMemory::Find(size_t* size) {
  void* bytes = nullptr;
  *size = 0;
  if (memory_.empty()) return nullptr;
  const napi_env env = anchor_->env();
  napi_value buffer = buffer_.Get();
  if (buffer != nullptr) napi_get_arraybuffer_info(env, buffer, &bytes, size);
  if (*size != 0) return static_cast<uint8_t*>(bytes);
  const napi_value memory = memory_.Get();
  bool is_buffer = false;
  if (memory == nullptr || napi_get_named_property(env, memory, "buffer", &buffer) != napi_ok ||
      napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer ||
      napi_get_arraybuffer_info(env, buffer, &bytes, size) != napi_ok) {
    // A getter may have thrown: it says the same, that there is no memory.
    napi_value thrown = nullptr;
    napi_get_and_clear_last_exception(env, &thrown);
    *size = 0;
    return nullptr;
  }
  buffer_ = Kept(*anchor_, buffer);
  return static_cast<uint8_t*>(bytes);
}
