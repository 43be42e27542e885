// The word somebody probably meant.
#pragma once

#include <span>
#include <string_view>

namespace sluice {

/// The one of `known` that is fewest single-letter edits away from `word`; empty when none is near enough to be a
/// likely slip. Words beyond kMaxSpellingLength are not looked at.
[[nodiscard]] std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

inline constexpr std::size_t kMaxSpellingLength = 64;

}  // namespace sluice
