#include "suppression.h"

#include "failure.h"

namespace {

constexpr std::array<const char*, 5> kNames = {"caller", "cache", "region", "direction", "entry"};

bool IsBlank(char letter) { return letter == ' ' || letter == '\t' || letter == '\r'; }

// '*' stands for any characters. Of several stars only the last one is ever moved, so that the time is bounded.
bool Matches(const std::string& glob, const std::string& text) {
  size_t at = 0, from = 0, star = std::string::npos, star_from = 0;
  while (from < text.size()) {
    if (at < glob.size() && glob[at] == '*') {
      star = at++;
      star_from = from;
    } else if (at < glob.size() && glob[at] == text[from]) {
      ++at;
      ++from;
    } else if (star != std::string::npos) {
      at = star + 1;
      from = ++star_from;
    } else {
      return false;
    }
  }
  while (at < glob.size() && glob[at] == '*') ++at;
  return at == glob.size();
}

[[noreturn]] void Refuse(size_t line) {
  throw Failure("suppression list, line " + std::to_string(line) +
                ": expected words like caller=NAME, of caller, cache, region, direction, entry");
}

// A line without its comment: '#' at its start or behind a blank, as src/attach/suppression.ts reads it.
std::string WithoutComment(const std::string& line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || IsBlank(line[i - 1]))) return line.substr(0, i);
  }
  return line;
}

// The value that begins at `at`, which moves behind it: up to a blank, or between double quotes.
std::string TakeValue(const std::string& line, size_t& at, size_t number) {
  const bool is_quoted = at < line.size() && line[at] == '"';
  const size_t start = is_quoted ? at + 1 : at;
  size_t end = start;
  while (end < line.size() && (is_quoted ? line[end] != '"' : !IsBlank(line[end]))) {
    if (!is_quoted && line[end] == '"') Refuse(number);
    ++end;
  }
  if (is_quoted ? end == line.size() : end == start) Refuse(number);
  at = is_quoted ? end + 1 : end;
  if (at < line.size() && !IsBlank(line[at])) Refuse(number);
  return line.substr(start, end - start);
}

}  // namespace

SuppressionList::SuppressionList(const std::string& text) {
  size_t number = 0;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = WithoutComment(text.substr(start, end - start));
    start = end + 1;
    ++number;
    Rule rule;
    bool has_parts = false;
    for (size_t at = 0;;) {
      while (at < line.size() && IsBlank(line[at])) ++at;
      if (at >= line.size()) break;
      const size_t equals = line.find('=', at);
      if (equals == std::string::npos) Refuse(number);
      const std::string name = line.substr(at, equals - at);
      size_t part = 0;
      while (part < kParts && name != kNames[part]) ++part;
      if (part == kParts) Refuse(number);
      at = equals + 1;
      rule.globs[part] = TakeValue(line, at, number);
      has_parts = true;
    }
    if (has_parts) rules_.push_back(std::move(rule));
  }
}

bool SuppressionList::Silences(const SuppressionFacts& facts) {
  const std::array<const std::string*, kParts> values = {&facts.caller, &facts.cache, &facts.region, &facts.direction,
                                                         &facts.entry};
  for (Rule& rule : rules_) {
    bool matches = true;
    for (size_t part = 0; part < kParts; ++part) {
      if (rule.globs[part]) matches = matches && Matches(*rule.globs[part], *values[part]);
    }
    if (!matches) continue;
    ++rule.count;
    return true;
  }
  return false;
}
