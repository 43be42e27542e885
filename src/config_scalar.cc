#include "src/config_scalar.h"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <span>

#include "src/spelling.h"

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kKilo = 1024;
// Read as redis.conf reads them; the powers of 1024 come first, largest first, and are the ones written.
constexpr std::array kSizeUnits{Unit{"gb", kKilo* kKilo* kKilo},
                                Unit{"mb", kKilo* kKilo},
                                Unit{"kb", kKilo},
                                Unit{"g", 1'000'000'000},
                                Unit{"m", 1'000'000},
                                Unit{"k", 1'000},
                                Unit{"b", 1},
                                Unit{"", 1}};
constexpr std::size_t kWrittenSizeUnits = 3;
constexpr std::array kTimeUnits{Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000}, Unit{"ms", 1}};

struct Digits {
  Scalar<std::uint64_t> number;
  std::string_view rest;
};

Digits read_digits(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error == std::errc::result_out_of_range) return {{std::nullopt, ScalarError::kRange}, rest};
  if (error != std::errc()) return {{}, rest};
  return {{number}, rest};
}

// The digits times the factor of the unit behind them.
Scalar<std::uint64_t> read_amount(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  const auto [number, rest] = read_digits(text);
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [name = rest](const Unit& known) { return equals_ignoring_case(name, known.name); });
  if (unit == units.end()) return {};
  if (!number.value) return number;
  if (*number.value > most / unit->factor) return {std::nullopt, ScalarError::kRange};
  return {*number.value * unit->factor};
}

std::string write_amount(std::uint64_t amount, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (amount != 0 && amount % unit.factor == 0) return std::to_string(amount / unit.factor) + std::string(unit.name);
  }
  return std::to_string(amount);
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

// The letters of a host name, or of an IPv6 address when `is_v6` (a zone such as %eth0 included).
bool is_host(std::string_view host, bool is_v6) {
  constexpr std::size_t kMaxHostLength = 253;
  if (host.empty() || host.size() > kMaxHostLength) return false;
  return std::all_of(host.begin(), host.end(),
                     [is_v6](char c) { return is_host_character(c) || (is_v6 && (c == ':' || c == '%')); });
}

std::optional<ListenAddress> parse_socket_path(std::string_view path) {
  // The kernel wants the terminating zero within sun_path, see unix(7).
  const bool fits = path.size() < sizeof(sockaddr_un::sun_path);
  if (!path.starts_with('/') || !fits || path.find('\0') != std::string_view::npos) return std::nullopt;
  return ListenAddress{.host = {}, .port = 0, .path = std::string(path)};
}

constexpr auto words(const auto&... word) {
  return std::array<std::string_view, sizeof...(word)>{word...};
}

// The words of each enum, in the order of its values.
template <class E>
constexpr std::array<std::string_view, 0> kWords{};
template <>
constexpr auto kWords<BackendKind> = words("cluster", "standalone", "sentinel", "none");
template <>
constexpr auto kWords<ReadFrom> = words("primary", "prefer_replica", "replica", "any", "zone");
template <>
constexpr auto kWords<PoolMode> = words("shared", "affinity", "dedicated");
template <>
constexpr auto kWords<Fsync> = words("always", "everysec", "no");
template <>
constexpr auto kWords<LogLevel> = words("trace", "debug", "info", "warn", "error", "off");
template <>
constexpr auto kWords<LogFormat> = words("text", "json");

template <class E>
std::string_view word_at(E value) {
  const auto index = static_cast<std::size_t>(value);
  assert(index < kWords<E>.size());
  return kWords<E>[index];
}

}  // namespace

Scalar<Count> parse_count(std::string_view text) {
  const auto [number, rest] = read_digits(text);
  if (!rest.empty()) return {};
  if (!number.value) return {std::nullopt, number.error};
  if (*number.value > std::numeric_limits<Count>::max()) return {std::nullopt, ScalarError::kRange};
  return {static_cast<Count>(*number.value)};
}

Scalar<Bytes> parse_bytes(std::string_view text) {
  return read_amount(text, kSizeUnits, std::numeric_limits<Bytes>::max());
}

std::string text_of_bytes(Bytes bytes) {
  return write_amount(bytes, std::span(kSizeUnits).first(kWrittenSizeUnits));
}

Scalar<Milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return {Milliseconds(0)};
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Milliseconds::rep>::max());
  const Scalar<std::uint64_t> amount = read_amount(text, kTimeUnits, kMost);
  if (!amount.value) return {std::nullopt, amount.error};
  return {Milliseconds(static_cast<Milliseconds::rep>(*amount.value))};
}

std::string text_of_duration(Milliseconds duration) {
  assert(duration.count() >= 0);
  return write_amount(static_cast<std::uint64_t>(duration.count()), kTimeUnits);
}

std::optional<cluster::Address> parse_node_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const Scalar<Count> port = parse_count(text.substr(colon + 1));
  if (!port.value || *port.value == 0 || *port.value > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;

  std::string_view host = text.substr(0, colon);
  const bool is_v6 = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (is_v6) host = host.substr(1, host.size() - 2);
  if (!is_host(host, is_v6)) return std::nullopt;
  return cluster::Address{std::string(host), static_cast<std::uint16_t>(*port.value)};
}

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return parse_socket_path(text.substr(kUnix.size()));
  const auto address = parse_node_address(text);
  if (!address) return std::nullopt;
  return ListenAddress{.host = address->host, .port = address->port, .path = {}};
}

std::string ListenAddress::text() const {
  if (is_unix()) return "unix:" + path;
  return cluster::Address{host, port}.text();
}

template <class E>
std::optional<E> parse_word(std::string_view text) {
  const auto found = std::find(kWords<E>.begin(), kWords<E>.end(), text);
  if (found == kWords<E>.end()) return std::nullopt;
  return static_cast<E>(found - kWords<E>.begin());
}

template <class E>
std::string words_of() {
  std::string words;
  for (const std::string_view word : kWords<E>) {
    if (!words.empty()) words += ", ";
    words += word;
  }
  return words;
}

template std::optional<BackendKind> parse_word(std::string_view);
template std::optional<ReadFrom> parse_word(std::string_view);
template std::optional<PoolMode> parse_word(std::string_view);
template std::optional<Fsync> parse_word(std::string_view);
template std::optional<LogLevel> parse_word(std::string_view);
template std::optional<LogFormat> parse_word(std::string_view);
template std::string words_of<BackendKind>();
template std::string words_of<ReadFrom>();
template std::string words_of<PoolMode>();
template std::string words_of<Fsync>();
template std::string words_of<LogLevel>();
template std::string words_of<LogFormat>();

std::string_view word_of(BackendKind kind) {
  return word_at(kind);
}
std::string_view word_of(ReadFrom read_from) {
  return word_at(read_from);
}
std::string_view word_of(PoolMode mode) {
  return word_at(mode);
}
std::string_view word_of(Fsync fsync) {
  return word_at(fsync);
}
std::string_view word_of(LogLevel level) {
  return word_at(level);
}
std::string_view word_of(LogFormat format) {
  return word_at(format);
}

}  // namespace sluice
