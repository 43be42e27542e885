// Where replies end, by a slow and obvious way: a reader that descends into a value and throws where it cannot go on.
// Shared by the fuzz targets and the tests of resp::ReplyScanner.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/model/arrivals.h"
#include "fuzz/model/wide.h"
#include "resp/reply_scanner.h"

namespace model {

/// All that a backend's bytes amount to.
struct ReplyTrace {
  std::vector<std::size_t> ends;  ///< behind each whole reply
  bool failed = false;            ///< what follows is no RESP
  bool idle = true;               ///< nothing follows
  bool operator==(const ReplyTrace&) const = default;
};

// ---- the model ----

class ReplyReader {
 public:
  struct Cut {};        ///< the bytes end within a reply
  struct Malformed {};  ///< they cannot become one

  explicit ReplyReader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

  /// One value. `behind` values of the same level are still to come after it: their sum is bounded.
  void value(Wide behind, std::size_t streamed_depth) {
    const char mark = next();
    switch (mark) {
      case '+':
      case '-':
      case ':':
      case ',':
      case '#':
      case '(':
        return skip_line();
      case '_':
        return skip_end_of_line();
      case '!':
      case '=':
        return skip_blob(length(mark));
      case '$':
        return bulk();
      case '|': {
        const Wide fields = bounded(2 * number(length(mark)), behind);
        for (Wide left = fields; left > 0; --left) value(behind + left, streamed_depth);
        return value(behind, streamed_depth);
      }
      case '*':
      case '~':
      case '>':
      case '%':
        return aggregate(mark, behind, streamed_depth);
      default:
        throw Malformed{};
    }
  }

 private:
  char next() {
    if (at_end()) throw Cut{};
    return bytes_[at_++];
  }

  void expect(char c) {
    if (next() != c) throw Malformed{};
  }

  void skip_end_of_line() {
    expect('\r');
    expect('\n');
  }

  void skip_line() {
    while (next() != '\r') {
    }
    expect('\n');
  }

  /// The number of a header line; refused at the first byte that no such number has.
  std::string length(char mark) {
    const std::string marks(1, mark);
    std::string text;
    for (char c = next(); c != '\r'; c = next()) {
      text += c;
      const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
      const bool number = text == "0" || (digits && text.front() != '0');
      const bool fits = text.size() < 19 || (text.size() == 19 && text <= "9223372036854775807");
      const bool null = (text == "-" || text == "-1") && std::string("$*").find(marks) != std::string::npos;
      const bool streamed = text == "?" && std::string("$*~%").find(marks) != std::string::npos;
      if (!(number && fits) && !null && !streamed) throw Malformed{};
    }
    if (text.empty() || text == "-") throw Malformed{};
    expect('\n');
    return text;
  }

  static Wide number(const std::string& text) {
    Wide value = 0;
    for (const char c : text) value = value * 10 + (c - '0');
    return value;
  }

  static Wide bounded(Wide count, Wide behind) {
    if (count + behind + 1 > INT64_MAX) throw Malformed{};
    return count;
  }

  void skip_blob(const std::string& text) {
    for (Wide left = number(text); left > 0; --left) next();
    skip_end_of_line();
  }

  void bulk() {
    std::string text = length('$');
    if (text == "-1") return;
    if (text != "?") return skip_blob(text);
    while (true) {
      expect(';');
      text = length(';');
      if (text == "0") return;
      skip_blob(text);
    }
  }

  void aggregate(char mark, Wide behind, std::size_t streamed_depth) {
    const std::string text = length(mark);
    if (text == "-1") return;
    if (text == "?") return streamed_elements(mark, streamed_depth);
    const Wide count = bounded(number(text) * (mark == '%' ? 2 : 1), behind);
    for (Wide left = count; left > 0; --left) value(behind + left - 1, streamed_depth);
  }

  void streamed_elements(char mark, std::size_t streamed_depth) {
    if (streamed_depth == resp::ReplyScanner::kMaxStreamedDepth) throw Malformed{};
    std::size_t count = 0;
    while (true) {
      if (at_end()) throw Cut{};
      if (bytes_[at_] == '.') break;
      value(0, streamed_depth + 1);
      ++count;
    }
    next();
    skip_end_of_line();
    if (mark == '%' && count % 2 != 0) throw Malformed{};
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

inline ReplyTrace expected_replies(std::string_view bytes) {
  ReplyTrace trace;
  ReplyReader reader(bytes);
  try {
    while (!reader.at_end()) {
      trace.idle = false;
      reader.value(0, 0);
      trace.ends.push_back(reader.at());
      trace.idle = true;
    }
  } catch (ReplyReader::Cut) {
  } catch (ReplyReader::Malformed) {
    trace.failed = true;
  }
  return trace;
}

// ---- the scanner, used as a backend connection uses it ----

/// Gives `bytes` to a scanner as they arrive, each piece in memory of its own. Throws std::logic_error where the
/// scanner contradicts itself.
inline ReplyTrace scanned_replies(std::string_view bytes, Arrivals arrivals) {
  resp::ReplyScanner scanner;
  ReplyTrace trace;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::string_view arrived = bytes.substr(at, arrivals.next(bytes.size() - at));
    const std::vector<char> chunk(arrived.begin(), arrived.end());
    std::string_view rest(chunk.data(), chunk.size());
    while (!rest.empty()) {
      const std::uint64_t left = scanner.bulk_bytes_left();
      const resp::ScanResult result = scanner.scan(rest);
      trace.idle = scanner.idle();
      if (result.status == resp::ScanStatus::kError) {
        trace.failed = true;
        return trace;
      }
      if (left >= rest.size() && scanner.bulk_bytes_left() != left - rest.size()) throw std::logic_error("bulk");
      if (result.length == 0 || result.length > rest.size()) throw std::logic_error("length");
      at += result.length;
      rest.remove_prefix(result.length);
      if (result.status == resp::ScanStatus::kComplete) trace.ends.push_back(at);
      if (trace.idle != (result.status == resp::ScanStatus::kComplete)) throw std::logic_error("idle");
      if (result.status == resp::ScanStatus::kIncomplete && !rest.empty()) throw std::logic_error("bytes left over");
    }
  }
  return trace;
}

}  // namespace model
