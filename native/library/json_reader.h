// A JSON value with its place in the file, read only as what is expected of it.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// How a refusal calls the file, and what it says at its end.
struct JsonDocument {
  const char* name;
  const char* advice;
};

class JsonReader {
 public:
  using Json = nlohmann::json;

  // `document` outlives the reader.
  JsonReader(const Json& value, std::string place, const JsonDocument& document)
      : value_(value), place_(std::move(place)), document_(document) {}

  // Throws a Failure: the place, what was expected, and of which kind the value is.
  [[noreturn]] void Refuse(const std::string& expected) const;

  JsonReader At(const char* name) const;
  // Nothing where the member is missing or null.
  std::optional<JsonReader> Find(const char* name) const;
  // Of an array of at most so many.
  std::vector<JsonReader> Items(size_t most) const;
  // Of an object of at most so many, with their names.
  std::vector<std::pair<std::string, JsonReader>> Members(size_t most) const;
  bool IsNull() const { return value_.is_null(); }
  // Anything but true is not.
  bool IsTrue() const { return value_.is_boolean() && value_.get<bool>(); }
  bool Flag() const;
  uint64_t Number(uint64_t most) const;
  int64_t Signed(int64_t most) const;
  // "0x…", since JSON's numbers end at 2^53.
  uint64_t Address(unsigned bits) const;
  // A whole number, or a text of 0x… or of decimal digits; of a negative one the lower 64 bits.
  uint64_t Word() const;
  // A text without NUL; may be empty.
  std::string AnyText(size_t most) const;
  // Printable ASCII.
  std::string Text(size_t most) const;
  // Empty for null.
  std::string TextOrNone(size_t most) const;
  // The index of the one of `names` that it is.
  size_t OneOf(const std::vector<const char*>& names) const;
  std::vector<uint8_t> Base64(size_t most) const;
  const std::string& place() const { return place_; }

 private:
  const Json& value_;
  std::string place_;
  const JsonDocument& document_;
};
