// How bytes come in: the sizes of the pieces, used in turn and again from the first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace model {

class Arrivals {
 public:
  /// No sizes: all at once. 0 counts as 1.
  explicit Arrivals(std::vector<std::size_t> sizes = {}) : sizes_(std::move(sizes)) {}

  /// Three sizes packed into the byte a fuzzer gives.
  explicit Arrivals(std::uint8_t choice)
      : sizes_{std::size_t{choice} & 3, std::size_t{choice} >> 2 & 7, std::size_t{choice} >> 5} {}

  /// The size of the next piece when `left` bytes (at least one) are still to come.
  [[nodiscard]] std::size_t next(std::size_t left) {
    if (sizes_.empty()) return left;
    return std::min(std::max<std::size_t>(sizes_[turn_++ % sizes_.size()], 1), left);
  }

 private:
  std::vector<std::size_t> sizes_;
  std::size_t turn_ = 0;
};

inline Arrivals all_at_once() {
  return Arrivals{};
}
inline Arrivals byte_by_byte() {
  return Arrivals{std::vector<std::size_t>{1}};
}

}  // namespace model
