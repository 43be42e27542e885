// What resp::RequestParser has to say, by a slow and obvious way: whole strings, looked at from the front, copied
// freely. Shared by the fuzz targets and the tests.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/model/arrivals.h"
#include "fuzz/model/wide.h"
#include "resp/request_parser.h"

namespace model {

using Arguments = std::vector<std::string>;

/// All that a client's bytes amount to.
struct RequestTrace {
  std::vector<Arguments> requests;
  std::size_t used = 0;  ///< bytes of those requests
  std::string error;     ///< of what follows them; empty when it is merely unfinished, or nothing
  bool operator==(const RequestTrace&) const = default;
};

// ---- the model ----

/// The bytes break the protocol, or a bound of Sluice's own.
struct BadRequest {
  explicit BadRequest(const std::string& what)
      : text((what.starts_with("sluice: ") ? "" : "Protocol error: ") + what) {}
  std::string text;  ///< may hold a NUL, taken from the bytes
};

/// 0, or digits that begin with another one, maybe behind a minus; within 64 bits.
inline std::optional<Wide> number_of(const std::string& text) {
  const std::string digits = text.starts_with("-") ? text.substr(1) : text;
  if (text == "0") return 0;
  if (digits.empty() || digits.size() > 19 || digits.front() == '0') return std::nullopt;
  Wide value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (text.starts_with("-")) value = -value;
  if (value > INT64_MAX || value < INT64_MIN) return std::nullopt;
  return value;
}

/// The text of the line at `from` before `terminator`; nullopt: not there yet.
inline std::optional<std::string> line_at(const std::string& bytes, std::size_t from, char terminator,
                                          const resp::RequestLimits& limits, const std::string& when_too_long) {
  const std::string line = bytes.substr(from, bytes.find(terminator, from) - from);
  if (line.size() > limits.max_inline_bytes) throw BadRequest(when_too_long);
  if (from + line.size() == bytes.size()) return std::nullopt;
  return line;
}

/// The words of an inline command, one character after the other. nullopt: unbalanced quotes.
inline std::optional<Arguments> words_of(std::string line) {
  if (line.ends_with('\r')) line.pop_back();
  line.push_back('\n');  // a blank behind the last word: every word ends at one
  enum { kBetween, kBare, kDouble, kSingle, kClosed } state = kBetween;
  const std::string names = "nrtba", meanings = "\n\r\t\b\a", hex = "0123456789abcdef";
  const auto hex_at = [&](std::size_t at) {
    const char c = at < line.size() ? line[at] : ' ';
    return hex.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
  };
  Arguments words;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool is_last = i + 1 == line.size();
    const bool is_space = std::string(" \t\n\v\f\r").find(c) != std::string::npos;
    if (state == kClosed && !is_space) return std::nullopt;
    if (state == kBetween || state == kClosed) {
      state = is_space ? kBetween : kBare;
      if (is_space) continue;
      words.emplace_back();
    }
    if (state == kBare) {
      if (c == '"')
        state = kDouble;
      else if (c == '\'')
        state = kSingle;
      else if (is_space && c != '\v' && c != '\f')
        state = kBetween;
      else
        words.back() += c;
    } else if (is_last) {
      return std::nullopt;  // within quotes, and that was the blank we put there
    } else if (state == kDouble && c == '\\' && i + 2 < line.size()) {
      const char escaped = line[++i];
      if (escaped == 'x' && i + 2 < line.size() - 1 && hex_at(i + 1) < 16 && hex_at(i + 2) < 16) {
        words.back() += static_cast<char>(hex_at(i + 1) * 16 + hex_at(i + 2));
        i += 2;
      } else {
        words.back() += names.find(escaped) < names.size() ? meanings[names.find(escaped)] : escaped;
      }
    } else if (state == kSingle && c == '\\' && line[i + 1] == '\'') {
      words.back() += line[++i];
    } else if (c == (state == kDouble ? '"' : '\'')) {
      state = kClosed;
    } else {
      words.back() += c;
    }
  }
  return words;
}

/// The request at the front of `bytes`, which are cut off. nullopt: not whole yet.
inline std::optional<Arguments> take_request(std::string& bytes, const resp::RequestLimits& limits) {
  if (bytes.empty()) return std::nullopt;
  if (bytes.front() != '*') {
    const auto line = line_at(bytes, 0, '\n', limits, "too big inline request");
    if (!line) return std::nullopt;
    const auto words = words_of(*line);
    if (!words) throw BadRequest("unbalanced quotes in request");
    bytes.erase(0, line->size() + 1);
    return words;
  }
  auto line = line_at(bytes, 0, '\r', limits, "too big mbulk count string");
  if (!line || bytes.size() < line->size() + 2) return std::nullopt;
  const auto count = number_of(line->substr(1));
  if (!count) throw BadRequest("invalid multibulk length");
  const std::string kind = limits.unauthenticated ? "unauthenticated" : "invalid";
  if (*count > Wide{limits.max_arguments}) throw BadRequest(kind + " multibulk length");
  std::size_t at = line->size() + 2;
  if (bytes[at - 1] != '\n') throw BadRequest("expected CRLF");
  Arguments arguments;
  for (Wide i = 0; i < *count; ++i) {
    line = line_at(bytes, at, '\r', limits, "too big bulk count string");
    if (!line || bytes.size() < at + line->size() + 2) return std::nullopt;
    const char mark = bytes[at];
    if (mark != '$')
      throw BadRequest("expected '$', got '" + std::string(1, mark == '\r' || mark == '\n' ? ' ' : mark) + "'");
    const auto length = number_of(line->substr(1));
    if (!length || *length < 0) throw BadRequest("invalid bulk length");
    if (*length > Wide{limits.max_bulk_bytes}) throw BadRequest(kind + " bulk length");
    at += line->size() + 2;
    if (bytes[at - 1] != '\n') throw BadRequest("expected CRLF");
    if (Wide{at} + *length + 2 > Wide{limits.max_request_bytes}) {
      throw BadRequest("sluice: the request is larger than limits.max_request");
    }
    if (Wide{bytes.size()} < Wide{at} + *length + 2) return std::nullopt;
    arguments.push_back(bytes.substr(at, static_cast<std::size_t>(*length)));
    at += arguments.back().size() + 2;
    if (bytes.substr(at - 2, 2) != "\r\n") throw BadRequest("expected CRLF");
  }
  bytes.erase(0, at);
  return arguments;
}

inline RequestTrace expected_requests(std::string bytes, const resp::RequestLimits& limits) {
  RequestTrace trace;
  const std::size_t size = bytes.size();
  try {
    while (auto arguments = take_request(bytes, limits)) {
      trace.requests.push_back(*arguments);
      trace.used = size - bytes.size();
    }
  } catch (const BadRequest& bad) {
    trace.error = bad.text;
  }
  return trace;
}

// ---- the parser, used as a session uses it ----

/// Gives `bytes` to a parser as they arrive. The buffer moves at every arrival and has no byte to spare behind it.
/// Throws std::logic_error where the parser contradicts itself.
inline RequestTrace parsed_requests(std::string_view bytes, const resp::RequestLimits& limits, Arrivals arrivals) {
  resp::RequestParser parser;
  resp::Request request;
  RequestTrace trace;
  std::size_t arrived = 0;
  while (arrived < bytes.size()) {
    arrived += arrivals.next(bytes.size() - arrived);
    const std::vector<char> buffer(bytes.begin() + static_cast<std::ptrdiff_t>(trace.used),
                                   bytes.begin() + static_cast<std::ptrdiff_t>(arrived));
    std::string_view rest(buffer.data(), buffer.size());
    while (true) {
      const std::uint64_t wanted = parser.bytes_wanted();
      const resp::ParseStatus status = parser.parse(rest, limits, request);
      if (rest.size() < wanted && status != resp::ParseStatus::kIncomplete) throw std::logic_error("wanted too much");
      if (status == resp::ParseStatus::kError) {
        trace.error = parser.error();
        return trace;
      }
      if (parser.idle() != (rest.empty() || status == resp::ParseStatus::kComplete)) throw std::logic_error("idle");
      if (status == resp::ParseStatus::kIncomplete) break;
      if (request.bytes.data() != rest.data()) throw std::logic_error("bytes of another request");
      trace.requests.emplace_back(request.arguments.begin(), request.arguments.end());
      trace.used += request.bytes.size();
      rest.remove_prefix(request.bytes.size());
    }
  }
  return trace;
}

}  // namespace model
