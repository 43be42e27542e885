// Where the row of a name is: an open-addressing hash table from names to rows.
// Rows are never taken out. Thread: one.
#pragma once

#include <cstddef>
#include <vector>

#include "resp/command_name.h"

namespace resp {

struct Command;

class CommandIndex {
 public:
  CommandIndex();

  /// nullptr: not there. Allocates nothing.
  [[nodiscard]] const Command* find(const CommandName& name) const { return places_[place_of(name)].row; }

  /// The name must not be there yet; the row must outlive the index.
  void add(const CommandName& name, const Command* row);

 private:
  /// Empty when it has no row. At most half of all places are taken, so every search meets an empty one soon.
  struct Place {
    CommandName name;
    const Command* row = nullptr;
  };

  /// The place that holds `name`, or the empty one where it belongs.
  [[nodiscard]] std::size_t place_of(const CommandName& name) const {
    std::size_t at = name.hash() & mask_;
    while (places_[at].row != nullptr && places_[at].name != name) at = (at + 1) & mask_;
    return at;
  }
  void grow();

  std::vector<Place> places_;  ///< a power of two of them
  std::size_t mask_;           ///< their number less one
  std::size_t taken_ = 0;
};

}  // namespace resp
