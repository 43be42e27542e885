// One INFO text for the whole cluster: the first node's, with what adds up summed over all nodes.
// Thread: any; a pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "src/reply_merge.h"

namespace sluice {

/// `parts` hold bulk or verbatim strings. The result has the shape of the first. `missing`: nodes that have not
/// answered; they are counted at the end.
[[nodiscard]] std::string merge_info(std::span<const Part> parts, std::size_t missing);

}  // namespace sluice
