#include "resp/command_index.h"

#include <cassert>
#include <utility>

namespace resp {
namespace {

/// Room for the commands of a server without modules; more comes with learned ones.
constexpr std::size_t kInitialPlaces = 1024;

}  // namespace

CommandIndex::CommandIndex() : places_(kInitialPlaces), mask_(kInitialPlaces - 1) {}

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
  mask_ = places_.size() - 1;
  for (const Place& place : old) {
    if (place.row != nullptr) places_[place_of(place.name)] = place;
  }
}

}  // namespace resp
