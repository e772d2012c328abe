// Saved CPU states as bytes that JavaScript owns.
#include <cstring>
#include <set>

#include "registers.h"

namespace {

// A header, whose length depends on libunicorn's version, then the state, then what a compiler put behind it.
class Context {
 public:
  // `padding`: what is behind the state, learnt from the emulator's first context.
  Context(Napi::Env env, uc_engine* uc, std::optional<size_t>& padding) : total_(libunicorn.context_size(uc)) {
    Check(env, "uc_context_alloc", libunicorn.context_alloc(uc, &context_));
    try {
      // The first word of a context is the size of its state, what is left of the whole is its header and padding.
      std::memcpy(&size_, start(), sizeof size_);
      if (size_ > total_ || total_ - size_ > kMostHeader) {
        throw MakeError(env, ErrorKind::Engine,
                        "uc_context_alloc: expected a context that begins with the size of its state, as in libunicorn 2.0 and 2.1, "
                        "found another: use one of these");
      }
      if (!padding) padding = size_ < kMostPadding ? 0 : FindPadding(env, uc);
      padding_ = *padding;
      Check(env, "uc_context_save", libunicorn.context_save(uc, context_));
    } catch (...) {
      libunicorn.context_free(context_);
      throw;
    }
  }
  ~Context() { libunicorn.context_free(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  uc_context* get() { return context_; }
  uint8_t* data() { return start() + (total_ - padding_ - size_); }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kMostPadding = 16;
  static constexpr size_t kMostHeader = 512;

  uint8_t* start() { return reinterpret_cast<uint8_t*>(context_); }

  // Bytes at the end that saving does not write: 2.1.1 has four of them, so that its state begins four bytes earlier than
  // its sizes say.
  size_t FindPadding(Napi::Env env, uc_engine* uc) {
    uint8_t* const tail = start() + (total_ - kMostPadding);
    size_t padding = kMostPadding;
    for (const uint8_t pattern : {uint8_t{0x00}, uint8_t{0xff}}) {
      std::memset(tail, pattern, kMostPadding);
      Check(env, "uc_context_save", libunicorn.context_save(uc, context_));
      size_t untouched = 0;
      while (untouched < padding && tail[kMostPadding - 1 - untouched] == pattern) ++untouched;
      padding = untouched;
    }
    return padding;
  }

  uc_context* context_ = nullptr;
  size_t total_;
  size_t size_ = 0;
  size_t padding_ = 0;
};

// SPARC's context is empty in Unicorn 2.0.1: the registers that can be written stand in for it.
std::set<int> RegisterIds(const RegisterNames& names) {
  std::set<int> ids;
  for (const auto& [name, id] : names.all()) ids.insert(id);
  return ids;
}

}  // namespace

Napi::Value Registers::Save(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  const std::optional<uint64_t> pc = SeenProgramCounter();
  Context context(env, uc, context_padding_);
  if (context.size() == 0) {
    const std::set<int> ids = RegisterIds(names_);
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, 8 * ids.size());
    size_t at = 0;
    for (const int id : ids) {
      const uint64_t value = id == pc_ && pc ? *pc : ReadRaw(id);
      std::memcpy(bytes.Data() + 8 * at++, &value, 8);
    }
    return bytes;
  }
  if (pc) {
    const uint64_t value = StartAddress(*pc);
    libunicorn.context_reg_write(context.get(), pc_, &value);
  }
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, context.size());
  std::memcpy(bytes.Data(), context.data(), context.size());
  return bytes;
}

Napi::Value Registers::Restore(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  if (!info[0].IsTypedArray()) throw MakeError(env, ErrorKind::BadInput, "restoreContext: expected a saved context");
  const Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  Context context(env, uc, context_padding_);
  const std::set<int> ids = context.size() == 0 ? RegisterIds(names_) : std::set<int>{};
  const size_t expected = context.size() == 0 ? 8 * ids.size() : context.size();
  if (bytes.ByteLength() != expected) {
    throw MakeError(env, ErrorKind::BadInput,
                    "restoreContext: expected " + std::to_string(expected) + " bytes, found " +
                        std::to_string(bytes.ByteLength()));
  }
  if (context.size() == 0) {
    size_t at = 0;
    for (const int id : ids) {
      uint64_t value = 0;
      std::memcpy(&value, bytes.Data() + 8 * at++, 8);
      if (id == pc_ && emulator_.executing()) {
        wanted_pc_ = value;
      } else {
        WriteRaw(id, value);
      }
    }
  } else {
    std::memcpy(context.data(), bytes.Data(), expected);
    Check(env, "uc_context_restore", libunicorn.context_restore(uc, context.get()));
    if (emulator_.executing()) wanted_pc_ = StartAddress(ProgramCounter());
  }
  ++changes_;
  ++writes_;
  return env.Undefined();
}
