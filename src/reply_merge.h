// One reply out of the replies to the parts of a split or fanned-out command. Honest: an error in any part that matters
// makes the whole an error that says how much failed; nothing becomes nil, zero or a smaller count. Source of the
// policies: redis.io "Command tips", response_policy. Thread: any; pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// How parts become a whole.
enum class Merge : std::uint8_t {
  kConcatenate,  ///< arrays (sets, maps) one behind the other, or the single reply of one part
  kKeepOrder,    ///< arrays whose elements go back to the places their keys came from (MGET)
  kSum,
  kMinimum,
  kMaximum,
  kLogicalAnd,  ///< of integers, or element by element of arrays of integers
  kLogicalOr,
  kAllSucceeded,  ///< the first part's reply when no part failed
  kOneSucceeded,  ///< the first reply that is no error
  kAnyNotNull,    ///< one of the replies that are not null, chosen by `random` (RANDOMKEY)
  kInfo,          ///< INFO: the first part's text with the cluster's sums in it
  kLatestFirst,   ///< arrays of entries with their time in second place (SLOWLOG GET): the latest of all
};

struct Part {
  std::string reply;
  std::vector<std::uint32_t> positions;  ///< for kKeepOrder: the places of its elements in the whole
  bool may_fail = false;                 ///< without it the whole is made of the others
  bool in_question = false;              ///< an error that leaves open whether the part has run
};

/// `parts` is not empty; every reply is one whole RESP value. `places`: for kKeepOrder, elements of the whole; for
/// kLatestFirst, how many at most.
[[nodiscard]] std::string merge_replies(Merge merge, std::span<const Part> parts, std::size_t places,
                                        std::uint32_t random);

/// The elements of an array (set, map as alternating keys and values, push) reply, as views into it. Empty for anything
/// else.
[[nodiscard]] std::vector<std::string_view> reply_elements(std::string_view reply);

}  // namespace sluice
