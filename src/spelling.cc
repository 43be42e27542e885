#include "src/spelling.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <numeric>

namespace sluice {
namespace {

// The Levenshtein distance, one row of its table at a time.
std::size_t edits_between(std::string_view left, std::string_view right) {
  std::array<std::size_t, kMaxSpellingLength + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[right.size()];
}

}  // namespace

bool equals_ignoring_case(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right,
                            [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known) {
  if (word.size() > kMaxSpellingLength) return {};
  // A third of the letters may be wrong: two in "nodes" would already be another word.
  std::size_t least = word.size() / 3 + 2;
  std::string_view nearest;
  for (const std::string_view candidate : known) {
    if (candidate.size() > kMaxSpellingLength) continue;
    const std::size_t edits = edits_between(word, candidate);
    if (edits >= least) continue;
    least = edits;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace sluice
