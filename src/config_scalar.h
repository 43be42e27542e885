// The scalars of a configuration and their text: numbers, sizes, times, addresses, words. Each pair is inverse:
// parse_x(text_of(x)) gives x.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/config.h"

namespace sluice {

/// Why a text is no such scalar.
enum class ScalarError : std::uint8_t { kForm, kRange };

/// A scalar, or why there is none.
template <class T>
struct Scalar {
  std::optional<T> value;
  ScalarError error = ScalarError::kForm;  ///< when there is no value
};

/// Decimal digits.
[[nodiscard]] Scalar<Count> parse_count(std::string_view text);

/// Digits and a unit as in redis.conf, in either case: none or b, k = 1000, kb = 1024, m, mb, g, gb.
[[nodiscard]] Scalar<Bytes> parse_bytes(std::string_view text);
/// The largest of gb, mb, kb that divides it, else plain bytes.
[[nodiscard]] std::string text_of_bytes(Bytes bytes);

/// Digits and one of ms, s, m, h; a bare 0 needs no unit.
[[nodiscard]] Scalar<Milliseconds> parse_duration(std::string_view text);
/// The largest unit that divides it; "0" for none.
[[nodiscard]] std::string text_of_duration(Milliseconds duration);

/// "host:port", "[v6]:port", "unix:/path". Port 1..65535; a path must be absolute and fit a socket address.
[[nodiscard]] std::optional<ListenAddress> parse_listen_address(std::string_view text);

/// "host:port", "[v6]:port"; port 1..65535, and the host is an address or a host name by its letters.
[[nodiscard]] std::optional<cluster::Address> parse_node_address(std::string_view text);

/// The words of an enum: in the order of its values, and "a, b, c" for a message.
template <class E>
[[nodiscard]] std::optional<E> parse_word(std::string_view text);
template <class E>
[[nodiscard]] std::string words_of();

}  // namespace sluice
