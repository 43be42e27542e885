// Words as people write them: in upper or lower case, or nearly right.
#pragma once

#include <span>
#include <string_view>

namespace sluice {

/// The same word; ASCII letters of either case are alike.
[[nodiscard]] bool equals_ignoring_case(std::string_view left, std::string_view right);

/// The one of `known` that is fewest single-letter edits away from `word`; empty when none is near enough to be a
/// likely slip. Words beyond kMaxSpellingLength are not looked at.
[[nodiscard]] std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

inline constexpr std::size_t kMaxSpellingLength = 64;

}  // namespace sluice
