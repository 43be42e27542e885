// A command's name in the one form that names are compared in: lower case, in a few words of fixed number, so that two
// names are hashed and compared without a loop over their bytes whatever their length and case.
// All of it is inline: it is part of every lookup, and lookups are part of every request.
// Thread: any, a value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace resp {

class CommandName {
 public:
  /// No command's name.
  CommandName() = default;

  /// Longest name, "container|subcommand" included. The longest of Valkey 8 has 29 bytes.
  static constexpr std::size_t kMaxLength = 32;

  /// nullopt: empty, or too long to be a command's.
  [[nodiscard]] static std::optional<CommandName> of(std::string_view name);

  /// The name "container|subcommand"; nullopt as above.
  [[nodiscard]] static std::optional<CommandName> of(std::string_view container, std::string_view subcommand);

  [[nodiscard]] std::uint64_t hash() const;

  [[nodiscard]] bool operator==(const CommandName& other) const;

 private:
  using Word = std::uint64_t;
  static_assert(std::endian::native == std::endian::little, "load_short puts the first byte lowest, as load does");

  explicit CommandName(std::string_view name);

  template <typename Unsigned>
  [[nodiscard]] static Unsigned load(const char* bytes);
  [[nodiscard]] static Word load_short(const char* bytes, std::size_t count);
  [[nodiscard]] static Word lower_case(Word word);
  [[nodiscard]] static Word word_of(std::string_view name, std::size_t index);

  std::array<Word, kMaxLength / sizeof(Word)> words_{};  ///< zero behind `length_` bytes
  std::size_t length_ = 0;
};

template <typename Unsigned>
Unsigned CommandName::load(const char* bytes) {
  Unsigned value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// The first `count` (1 to 8; more count as 8) bytes, zero above them. Loads that overlap stand in for a memcpy of
/// variable length, which would cost more than the rest of a lookup.
inline CommandName::Word CommandName::load_short(const char* bytes, std::size_t count) {
  if (count >= 8) return load<Word>(bytes);
  if (count >= 4) {
    const Word high = load<std::uint32_t>(bytes + count - 4);
    return load<std::uint32_t>(bytes) | (high << (8 * (count - 4)));
  }
  const std::size_t middle = count / 2;
  const std::size_t last = count - 1;
  return load<std::uint8_t>(bytes) | (Word{load<std::uint8_t>(bytes + middle)} << (8 * middle)) |
         (Word{load<std::uint8_t>(bytes + last)} << (8 * last));
}

/// Lowers 'A'..'Z' in eight bytes at once; every other byte stays, those above 127 too.
inline CommandName::Word CommandName::lower_case(Word word) {
  constexpr Word kOnes = 0x0101010101010101;
  constexpr Word kHighBits = kOnes * 0x80;
  const Word low_bits = word & ~kHighBits;
  const Word at_least_a = low_bits + kOnes * (0x80 - 'A');
  const Word beyond_z = low_bits + kOnes * (0x80 - 'Z' - 1);
  const Word upper = at_least_a & ~beyond_z & ~word & kHighBits;
  return word | (upper >> 2);
}

inline CommandName::Word CommandName::word_of(std::string_view name, std::size_t index) {
  const std::size_t at = index * sizeof(Word);
  return at < name.size() ? lower_case(load_short(name.data() + at, name.size() - at)) : 0;
}

// No loop: the words then stay in registers, and no load has to wait for narrower stores.
inline CommandName::CommandName(std::string_view name)
    : words_{word_of(name, 0), word_of(name, 1), word_of(name, 2), word_of(name, 3)}, length_(name.size()) {}

inline std::optional<CommandName> CommandName::of(std::string_view name) {
  if (name.empty() || name.size() > kMaxLength) return std::nullopt;
  return CommandName(name);
}

inline std::optional<CommandName> CommandName::of(std::string_view container, std::string_view subcommand) {
  if (container.size() >= kMaxLength || subcommand.size() >= kMaxLength - container.size()) return std::nullopt;
  std::array<char, kMaxLength> bytes;
  char* end = std::copy(container.begin(), container.end(), bytes.data());
  *end++ = '|';
  end = std::copy(subcommand.begin(), subcommand.end(), end);
  return of({bytes.data(), end});
}

inline std::uint64_t CommandName::hash() const {
  // Independent products, so that the processor works on all words at once; folded so that every byte reaches the low
  // bits, which choose the place in a table.
  Word sum = words_[0] * 0x9e3779b97f4a7c15 + words_[1] * 0xc2b2ae3d27d4eb4f + words_[2] * 0x165667b19e3779f9 +
             words_[3] * 0xd6e8feb86659fd93 + length_;
  sum = (sum ^ (sum >> 32)) * 0x9e3779b97f4a7c15;
  return sum ^ (sum >> 32);
}

inline bool CommandName::operator==(const CommandName& other) const {
  // Written out: compilers turn the comparison of arrays into a call of memcmp.
  const Word difference = (words_[0] ^ other.words_[0]) | (words_[1] ^ other.words_[1]) |
                          (words_[2] ^ other.words_[2]) | (words_[3] ^ other.words_[3]) | (length_ ^ other.length_);
  return difference == 0;
}

}  // namespace resp
