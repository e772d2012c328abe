#include "anchor.h"

#include <utility>

#include "callback_scope.h"

Anchor::Anchor(napi_env env, napi_value owner) : env_(env) {
  const CallbackScope scope(env);
  napi_value list = nullptr;
  napi_value name = nullptr;
  if (napi_create_array(env, &list) != napi_ok || napi_create_symbol(env, nullptr, &name) != napi_ok) return;
  if (napi_set_property(env, owner, name, list) == napi_ok) napi_create_reference(env, list, 0, &list_);
}

Anchor::~Anchor() {
  if (list_ != nullptr) napi_delete_reference(env_, list_);
}

napi_value Anchor::List() const {
  napi_value list = nullptr;
  if (list_ != nullptr) napi_get_reference_value(env_, list_, &list);
  return list;
}

bool Anchor::Put(napi_value value, uint32_t* place) {
  const napi_value list = List();
  if (list == nullptr) return false;
  *place = free_.empty() ? places_ : free_.back();
  if (napi_set_element(env_, list, *place, value) != napi_ok) return false;
  if (free_.empty()) {
    ++places_;
  } else {
    free_.pop_back();
  }
  return true;
}

void Anchor::Remove(uint32_t place) {
  const CallbackScope scope(env_);
  const napi_value list = List();
  napi_value nothing = nullptr;
  // The owner is gone, or the environment is closing: nothing needs to be let go then.
  if (list == nullptr || napi_get_undefined(env_, &nothing) != napi_ok) return;
  if (napi_set_element(env_, list, place, nothing) != napi_ok) return;
  try {
    free_.push_back(place);
  } catch (...) {
    // The place is not used again.
  }
}

Kept::Kept(Anchor& anchor, napi_value value) : anchor_(&anchor) {
  if (!anchor.Put(value, &place_)) return;
  if (napi_create_reference(anchor.env_, value, 0, &reference_) != napi_ok) {
    reference_ = nullptr;
    anchor.Remove(place_);
  }
}

Kept::Kept(Kept&& other) noexcept
    : anchor_(other.anchor_), reference_(std::exchange(other.reference_, nullptr)), place_(other.place_) {}

Kept& Kept::operator=(Kept&& other) noexcept {
  if (this == &other) return *this;
  Release();
  anchor_ = other.anchor_;
  reference_ = std::exchange(other.reference_, nullptr);
  place_ = other.place_;
  return *this;
}

void Kept::Release() {
  if (reference_ == nullptr) return;
  napi_delete_reference(anchor_->env_, std::exchange(reference_, nullptr));
  anchor_->Remove(place_);
}
