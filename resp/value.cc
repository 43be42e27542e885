#include "resp/value.h"

#include <charconv>

#include "resp/length.h"

namespace resp {

namespace {

constexpr int kMaxDepth = 64;

bool is_integer(std::string_view digits) {
  if (digits.starts_with('+') || digits.starts_with('-')) digits.remove_prefix(1);
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_double(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return false;
  }
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && rest == text.data() + text.size();
}

// Reads values off the front of its bytes. Every function returns false where the bytes are not what they have to be.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool read(Value& out, int depth);
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  bool read_mark(char& mark);
  bool read_line(std::string_view& line);
  bool read_blob(std::string_view digits, std::string& text);
  bool read_streamed_string(std::string& text);
  bool read_verbatim(std::string_view digits, Value& out);
  bool read_line_value(std::string_view line, Value& out);
  bool read_blob_value(std::string_view digits, Value& out);
  bool read_aggregate(std::string_view digits, Value& out, int depth);
  bool read_elements(std::uint64_t count, Value& out, int depth);
  bool read_streamed_elements(Value& out, int depth);
  bool skip_attribute(std::string_view digits, int depth);

  std::string_view rest_;
};

bool Reader::read(Value& out, int depth) {
  if (depth > kMaxDepth) return false;
  char mark = 0;
  std::string_view line;
  if (!read_mark(mark) || !read_line(line)) return false;
  while (mark == static_cast<char>(Type::kAttribute)) {
    if (!skip_attribute(line, depth) || !read_mark(mark) || !read_line(line)) return false;
  }
  out.type = Type{mark};
  switch (out.type) {
    case Type::kBulkString:
    case Type::kBlobError:
    case Type::kVerbatimString:
      return read_blob_value(line, out);
    case Type::kArray:
    case Type::kMap:
    case Type::kSet:
    case Type::kPush:
      return read_aggregate(line, out, depth);
    default:
      return read_line_value(line, out);
  }
}

bool Reader::read_mark(char& mark) {
  if (rest_.empty()) return false;
  mark = rest_.front();
  rest_.remove_prefix(1);
  return true;
}

bool Reader::read_line(std::string_view& line) {
  const std::size_t end = rest_.find('\r');
  if (end == std::string_view::npos || !rest_.substr(end).starts_with("\r\n")) return false;
  line = rest_.substr(0, end);
  rest_.remove_prefix(end + 2);
  return true;
}

bool Reader::read_line_value(std::string_view line, Value& out) {
  switch (out.type) {
    case Type::kSimpleString:
    case Type::kError:
      break;
    case Type::kNull:
      return line.empty();
    case Type::kBoolean:
      out.integer = line == "t" ? 1 : 0;
      return line == "t" || line == "f";
    case Type::kInteger: {
      if (!is_integer(line)) return false;
      const char* const first = line.data() + (line.front() == '+' ? 1 : 0);
      return std::from_chars(first, line.data() + line.size(), out.integer).ec == std::errc();
    }
    case Type::kDouble:
      if (!is_double(line)) return false;
      break;
    case Type::kBigNumber:
      if (!is_integer(line)) return false;
      break;
    default:
      return false;
  }
  out.text = line;
  return true;
}

bool Reader::read_blob(std::string_view digits, std::string& text) {
  const auto length = parse_length(digits);
  if (!length || *length < 0) return false;
  const auto size = static_cast<std::uint64_t>(*length);
  if (rest_.size() < 2 || rest_.size() - 2 < size || rest_.substr(size, 2) != "\r\n") return false;
  text.append(rest_.substr(0, size));
  rest_.remove_prefix(size + 2);
  return true;
}

// Chunks ";<length>\r\n<bytes>\r\n", the last one ";0\r\n".
bool Reader::read_streamed_string(std::string& text) {
  while (true) {
    char mark = 0;
    std::string_view line;
    if (!read_mark(mark) || mark != ';' || !read_line(line)) return false;
    if (line == "0") return true;
    if (!read_blob(line, text)) return false;
  }
}

bool Reader::read_blob_value(std::string_view digits, Value& out) {
  if (out.type == Type::kVerbatimString) return read_verbatim(digits, out);
  if (out.type == Type::kBulkString && digits == "?") return read_streamed_string(out.text);
  if (out.type == Type::kBulkString && digits == "-1") {
    out.type = Type::kNull;
    return true;
  }
  return read_blob(digits, out.text);
}

bool Reader::read_verbatim(std::string_view digits, Value& out) {
  constexpr std::size_t kFormatBytes = 4;  // "txt:"
  if (!read_blob(digits, out.text) || out.text.size() < kFormatBytes || out.text[3] != ':') return false;
  out.text.erase(0, kFormatBytes);
  return true;
}

bool Reader::read_aggregate(std::string_view digits, Value& out, int depth) {
  if (digits == "?" && out.type != Type::kPush) return read_streamed_elements(out, depth);
  if (digits == "-1" && out.type == Type::kArray) {
    out.type = Type::kNull;
    return true;
  }
  const auto count = parse_length(digits);
  if (!count || *count < 0) return false;
  const auto values = static_cast<std::uint64_t>(*count);
  return read_elements(out.type == Type::kMap ? 2 * values : values, out, depth);
}

// Room is made as elements come: a count is only a promise.
bool Reader::read_elements(std::uint64_t count, Value& out, int depth) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!read(out.elements.emplace_back(), depth + 1)) return false;
  }
  return true;
}

bool Reader::read_streamed_elements(Value& out, int depth) {
  while (!rest_.starts_with('.')) {
    if (!read(out.elements.emplace_back(), depth + 1)) return false;
  }
  if (!rest_.starts_with(".\r\n")) return false;
  rest_.remove_prefix(3);
  return out.type != Type::kMap || out.elements.size() % 2 == 0;
}

bool Reader::skip_attribute(std::string_view digits, int depth) {
  const auto pairs = parse_length(digits);
  if (!pairs || *pairs < 0) return false;
  Value dropped;
  return read_elements(2 * static_cast<std::uint64_t>(*pairs), dropped, depth);
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (std::size_t i = 0; i + 1 < elements.size(); i += 2) {
    if (elements[i].is_string() && elements[i].text == key) return &elements[i + 1];
  }
  return nullptr;
}

std::optional<Value> parse_value(std::string_view bytes) {
  Reader reader(bytes);
  std::optional<Value> value(std::in_place);
  if (!reader.read(*value, 1) || !reader.at_end()) return std::nullopt;
  return value;
}

}  // namespace resp
