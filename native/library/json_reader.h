// A JSON value with its place in the file, read only as what is expected of it.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

class JsonReader {
 public:
  using Json = nlohmann::json;

  JsonReader(const Json& value, std::string place) : value_(value), place_(std::move(place)) {}

  // Throws a Failure: the place, what was expected, and of which kind the value is.
  [[noreturn]] void Refuse(const std::string& expected) const;

  JsonReader At(const char* name) const;
  // Of an array of at most so many.
  std::vector<JsonReader> Items(size_t most) const;
  // Of an object of at most so many, with their names.
  std::vector<std::pair<std::string, JsonReader>> Members(size_t most) const;
  bool IsNull() const { return value_.is_null(); }
  bool Flag() const;
  uint64_t Number(uint64_t most) const;
  int64_t Signed(int64_t most) const;
  // "0x…", since JSON's numbers end at 2^53.
  uint64_t Address(unsigned bits) const;
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
};
