// RESP written by appending to a string the caller keeps and reuses.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "resp/types.h"

namespace resp {

/// Appends values in the shape of one protocol version: what RESP2 lacks is written as RESP2 servers write it (maps and
/// sets as arrays, null as "$-1", booleans as integers, doubles and verbatim strings as bulk strings).
/// The string must outlive the writer. Thread: any, one at a time.
class Writer {
 public:
  Writer(std::string& out, Protocol protocol) : out_(out), protocol_(protocol) {}

  void simple(std::string_view text);  ///< "+text"; text has no CR or LF
  void error(std::string_view text);   ///< "-text"; CR and LF in it become spaces
  void integer(std::int64_t value);
  void bulk(std::string_view bytes);
  void verbatim(std::string_view text);  ///< "=..txt:text" or a bulk
  void boolean(bool value);
  void real(double value);
  void null();                    ///< "_" or "$-1"
  void null_array();              ///< "_" or "*-1"
  void array(std::size_t count);  ///< `count` values follow
  void set(std::size_t count);
  void map(std::size_t pairs);  ///< `pairs` keys and values follow in turn
  void push(std::size_t count);

 private:
  std::string& out_;
  Protocol protocol_;
};

/// Appends a request as an array of bulk strings.
void write_request(std::string& out, std::span<const std::string_view> arguments);
void write_request(std::string& out, std::initializer_list<std::string_view> arguments);

}  // namespace resp
