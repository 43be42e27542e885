#include "resp/writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>

namespace resp {

namespace {

constexpr std::string_view kCrlf = "\r\n";

// Enough for "-9223372036854775808" and for the shortest form of any double.
using NumberText = std::array<char, 32>;

template <typename Number>
std::string_view format(NumberText& text, Number value) {
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  assert(error == std::errc());
  return {text.data(), end};
}

template <typename Number>
void append_line(std::string& out, Type mark, Number value) {
  NumberText text;
  out.push_back(static_cast<char>(mark));
  out.append(format(text, value));
  out.append(kCrlf);
}

void append_line(std::string& out, Type mark, std::string_view text) {
  out.push_back(static_cast<char>(mark));
  out.append(text);
  out.append(kCrlf);
}

void append_bulk(std::string& out, std::string_view bytes) {
  append_line(out, Type::kBulkString, bytes.size());
  out.append(bytes);
  out.append(kCrlf);
}

std::string_view format_real(NumberText& text, double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return format(text, value);
}

template <typename Arguments>
void append_request(std::string& out, const Arguments& arguments) {
  append_line(out, Type::kArray, arguments.size());
  for (const std::string_view argument : arguments) append_bulk(out, argument);
}

}  // namespace

void Writer::simple(std::string_view text) {
  assert(text.find_first_of(kCrlf) == std::string_view::npos);
  append_line(out_, Type::kSimpleString, text);
}

void Writer::error(std::string_view text) {
  const std::size_t start = out_.size() + 1;
  append_line(out_, Type::kError, text);
  const auto first = out_.begin() + static_cast<std::ptrdiff_t>(start);
  std::replace_if(
      first, out_.end() - kCrlf.size(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
}

void Writer::integer(std::int64_t value) {
  append_line(out_, Type::kInteger, value);
}

void Writer::bulk(std::string_view bytes) {
  append_bulk(out_, bytes);
}

void Writer::verbatim(std::string_view text) {
  if (protocol_ == Protocol::kResp2) return append_bulk(out_, text);
  constexpr std::string_view kFormat = "txt:";
  append_line(out_, Type::kVerbatimString, kFormat.size() + text.size());
  out_.append(kFormat);
  out_.append(text);
  out_.append(kCrlf);
}

void Writer::boolean(bool value) {
  if (protocol_ == Protocol::kResp2) return integer(value ? 1 : 0);
  out_.append(value ? "#t\r\n" : "#f\r\n");
}

void Writer::real(double value) {
  NumberText text;
  const std::string_view digits = format_real(text, value);
  if (protocol_ == Protocol::kResp2) return append_bulk(out_, digits);
  append_line(out_, Type::kDouble, digits);
}

void Writer::null() {
  out_.append(protocol_ == Protocol::kResp2 ? "$-1\r\n" : "_\r\n");
}

void Writer::null_array() {
  out_.append(protocol_ == Protocol::kResp2 ? "*-1\r\n" : "_\r\n");
}

void Writer::array(std::size_t count) {
  append_line(out_, Type::kArray, count);
}

void Writer::set(std::size_t count) {
  append_line(out_, protocol_ == Protocol::kResp2 ? Type::kArray : Type::kSet, count);
}

void Writer::map(std::size_t pairs) {
  if (protocol_ == Protocol::kResp2) return array(2 * pairs);
  append_line(out_, Type::kMap, pairs);
}

void Writer::push(std::size_t count) {
  append_line(out_, protocol_ == Protocol::kResp2 ? Type::kArray : Type::kPush, count);
}

void write_request(std::string& out, std::span<const std::string_view> arguments) {
  append_request(out, arguments);
}

void write_request(std::string& out, std::initializer_list<std::string_view> arguments) {
  append_request(out, arguments);
}

}  // namespace resp
