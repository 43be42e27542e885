#include "resp/command_index.h"

#include <cassert>
#include <utility>

namespace resp {
namespace {

/// Room for the commands of a server without modules; more comes with learned ones.
constexpr std::size_t kInitialPlaces = 1024;

}  // namespace

CommandIndex::CommandIndex() : places_(kInitialPlaces) {}

std::size_t CommandIndex::place_of(const CommandName& name) const {
  const std::size_t mask = places_.size() - 1;
  std::size_t at = name.hash() & mask;
  while (places_[at].row != nullptr && places_[at].name != name) at = (at + 1) & mask;
  return at;
}

const Command* CommandIndex::find(const CommandName& name) const {
  return places_[place_of(name)].row;
}

void CommandIndex::add(const CommandName& name, const Command* row) {
  assert(row != nullptr);
  if (2 * (taken_ + 1) > places_.size()) grow();
  Place& place = places_[place_of(name)];
  assert(place.row == nullptr);
  place = {name, row};
  ++taken_;
}

void CommandIndex::grow() {
  const std::vector<Place> old = std::exchange(places_, std::vector<Place>(2 * places_.size()));
  for (const Place& place : old) {
    if (place.row != nullptr) places_[place_of(place.name)] = place;
  }
}

}  // namespace resp
