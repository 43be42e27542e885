// What a fuzzer decides about the order of events: its bytes, used in turn and again from the first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fuzz {

class Decisions {
 public:
  explicit Decisions(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  /// One of `choices` (1 to 256). None given: always the first.
  [[nodiscard]] std::size_t next(std::size_t choices) {
    return bytes_.empty() ? 0 : bytes_[turn_++ % bytes_.size()] % choices;
  }

  /// How much of `left` bytes (at least one) comes next: a few, some or all of them.
  [[nodiscard]] std::size_t next_part(std::size_t left) {
    const std::size_t choice = next(256);
    if (choice < 8) return left;
    return std::min(left, choice < 128 ? choice % 8 + 1 : choice - 127);
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t turn_ = 0;
};

/// The first `bytes` bytes of what a peer has sent, in memory of their own, where a sanitizer sees their end.
inline std::vector<char> take_front(std::string_view& socket, std::size_t bytes) {
  const std::vector<char> taken(socket.begin(), socket.begin() + static_cast<std::ptrdiff_t>(bytes));
  socket.remove_prefix(bytes);
  return taken;
}

/// The input of a target that takes decisions: their number (below 32), themselves, a byte for its settings, and the
/// bytes of a peer.
struct DecidedInput {
  Decisions decisions{{}};
  std::uint8_t settings = 0;
  std::string_view bytes;
};

inline DecidedInput decided_input(std::span<const std::uint8_t> data) {
  DecidedInput input;
  if (data.empty()) return input;
  const std::size_t count = std::min<std::size_t>(data.front() % 32, data.size() - 1);
  input.decisions = Decisions(data.subspan(1, count));
  data = data.subspan(1 + count);
  if (data.empty()) return input;
  input.settings = data.front();
  data = data.subspan(1);
  input.bytes = {reinterpret_cast<const char*>(data.data()), data.size()};
  return input;
}

}  // namespace fuzz
