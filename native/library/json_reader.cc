#include "json_reader.h"

#include <cerrno>
#include <cstdlib>

#include "failure.h"

namespace {

int Base64Value(char letter) {
  if (letter >= 'A' && letter <= 'Z') return letter - 'A';
  if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
  if (letter >= '0' && letter <= '9') return letter - '0' + 52;
  return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

}  // namespace

void JsonReader::Refuse(const std::string& expected) const {
  std::string kind = value_.type_name();
  if (value_.is_array() || value_.is_object()) kind += " of " + std::to_string(value_.size());
  if (value_.is_string()) kind += " of " + std::to_string(value_.get_ref<const std::string&>().size()) + " bytes";
  throw Failure(std::string(document_.name) + ", " + place_ + ": expected " + expected + ", found a " + kind +
                " that is none" + document_.advice);
}

JsonReader JsonReader::At(const char* name) const {
  const std::string place = place_.empty() ? name : place_ + "." + name;
  if (!value_.is_object()) Refuse("an object");
  const auto found = value_.find(name);
  if (found == value_.end()) {
    throw Failure(std::string(document_.name) + ": expected " + place + ", found none" + document_.advice);
  }
  return {*found, place, document_};
}

std::optional<JsonReader> JsonReader::Find(const char* name) const {
  if (!value_.is_object()) Refuse("an object");
  const auto found = value_.find(name);
  if (found == value_.end() || found->is_null()) return std::nullopt;
  return At(name);
}

std::vector<JsonReader> JsonReader::Items(size_t most) const {
  if (!value_.is_array() || value_.size() > most) Refuse("an array of at most " + std::to_string(most));
  std::vector<JsonReader> items;
  items.reserve(value_.size());
  for (const Json& item : value_) {
    items.emplace_back(item, place_ + "[" + std::to_string(items.size()) + "]", document_);
  }
  return items;
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::Members(size_t most) const {
  if (!value_.is_object() || value_.size() > most) Refuse("an object of at most " + std::to_string(most));
  std::vector<std::pair<std::string, JsonReader>> members;
  for (const auto& [name, value] : value_.items()) {
    members.emplace_back(name, JsonReader(value, place_ + ", member " + std::to_string(members.size()), document_));
  }
  return members;
}

bool JsonReader::Flag() const {
  if (!value_.is_boolean()) Refuse("true or false");
  return value_.get<bool>();
}

uint64_t JsonReader::Number(uint64_t most) const {
  if (!value_.is_number_unsigned() || value_.get<uint64_t>() > most) {
    Refuse("a whole number up to " + std::to_string(most));
  }
  return value_.get<uint64_t>();
}

int64_t JsonReader::Signed(int64_t most) const {
  const bool fits = value_.is_number_unsigned() ? value_.get<uint64_t>() <= static_cast<uint64_t>(most)
                                                : value_.is_number_integer() && value_.get<int64_t>() >= -most;
  if (!fits) Refuse("a whole number up to " + std::to_string(most) + " on either side of 0");
  return value_.get<int64_t>();
}

uint64_t JsonReader::Address(unsigned bits) const {
  const std::string expected = "an address of " + std::to_string(bits) + " bits as 0x…";
  if (!value_.is_string()) Refuse(expected);
  const auto& text = value_.get_ref<const std::string&>();
  if (text.size() < 3 || text.size() > 2 + bits / 4 || text[0] != '0' || text[1] != 'x') Refuse(expected);
  uint64_t address = 0;
  for (size_t i = 2; i < text.size(); ++i) {
    const char letter = text[i];
    const int digit = letter >= '0' && letter <= '9'   ? letter - '0'
                      : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                                       : -1;
    if (digit < 0) Refuse(expected);
    address = address << 4 | static_cast<uint64_t>(digit);
  }
  return address;
}

uint64_t JsonReader::Word() const {
  if (value_.is_number_unsigned()) return value_.get<uint64_t>();
  if (value_.is_number_integer()) return static_cast<uint64_t>(value_.get<int64_t>());
  const std::string expected = "a number of 64 bits";
  if (!value_.is_string()) Refuse(expected);
  const auto& text = value_.get_ref<const std::string&>();
  const bool is_hex = text.size() > 2 && text[0] == '0' && text[1] == 'x';
  const std::string digits = is_hex ? text.substr(2) : text;
  const char* const allowed = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
  const bool is_number = !digits.empty() && digits.size() <= (is_hex ? 16 : 20) &&
                         digits.find_first_not_of(allowed) == std::string::npos;
  if (!is_number) Refuse(expected);
  errno = 0;
  const uint64_t word = std::strtoull(digits.c_str(), nullptr, is_hex ? 16 : 10);
  if (errno != 0) Refuse(expected);
  return word;
}

std::string JsonReader::AnyText(size_t most) const {
  const std::string expected = "a text of at most " + std::to_string(most) + " bytes without NUL";
  if (!value_.is_string()) Refuse(expected);
  const auto& text = value_.get_ref<const std::string&>();
  if (text.size() > most || text.find('\0') != std::string::npos) Refuse(expected);
  return text;
}

std::string JsonReader::Text(size_t most) const {
  const std::string expected = "a text of 1 to " + std::to_string(most) + " printable characters";
  if (!value_.is_string()) Refuse(expected);
  const auto& text = value_.get_ref<const std::string&>();
  if (text.empty() || text.size() > most) Refuse(expected);
  for (const char letter : text) {
    if (letter < ' ' || letter > '~') Refuse(expected);
  }
  return text;
}

std::string JsonReader::TextOrNone(size_t most) const { return IsNull() ? std::string() : Text(most); }

size_t JsonReader::OneOf(const std::vector<const char*>& names) const {
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    if (value_.is_string() && value_.get_ref<const std::string&>() == names[i]) return i;
    list += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  Refuse("one of " + list);
}

std::vector<uint8_t> JsonReader::Base64(size_t most) const {
  const std::string expected = "base64 of at most " + std::to_string(most) + " bytes";
  if (!value_.is_string()) Refuse(expected);
  const auto& text = value_.get_ref<const std::string&>();
  if (text.size() / 4 > most / 3 + 1) Refuse(expected);
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int count = 0;
  size_t at = 0;
  for (; at < text.size() && text[at] != '='; ++at) {
    const int six = Base64Value(text[at]);
    if (six < 0) Refuse(expected);
    bits = bits << 6 | static_cast<uint32_t>(six);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<uint8_t>(bits >> count));
  }
  if (text.size() % 4 != 0 || text.size() - at > 2 || bytes.size() > most) Refuse(expected);
  return bytes;
}
