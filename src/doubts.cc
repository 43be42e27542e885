#include "src/doubts.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "src/fan_out.h"
#include "src/limits.h"
#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

Followed Doubts::followed(const PendingReply& place, std::uint16_t slot) {
  const PendingReply* later = place.next;
  for (int i = 0; later != nullptr && i < limits::kOrderSearch; ++i, later = later->next) {
    const bool waits = later->state == PendingReply::State::kWaiting;
    if (waits && (later->kind.slot == slot || later->kind.split)) return Followed::kYes;
  }
  return later == nullptr ? Followed::kNo : Followed::kUnknown;
}

void Doubts::add(const PendingReply& place, PendingReply& pending, FanOut* split, std::string_view error) {
  doubts_.push_back({.place = &place, .pending = &pending, .split = split, .error = std::string(error)});
}

/// Removes those that are chosen. What is done with them may call back.
template <typename Chosen>
std::vector<Doubts::Doubt> Doubts::take(Chosen&& chosen) {
  std::vector<Doubt> taken;
  std::vector<Doubt> rest;
  for (Doubt& each : doubts_) (chosen(each) ? taken : rest).push_back(std::move(each));
  doubts_ = std::move(rest);
  return taken;
}

std::vector<Doubts::Doubt> Doubts::take_before(const PendingReply& place, std::uint16_t slot) {
  const auto of_slot = [&](const Doubt& each) { return each.pending->kind.slot == slot; };
  // One walk along the line: it may be long, and all of it in doubt.
  std::unordered_set<const PendingReply*> before;
  for (const Doubt& each : doubts_) {
    if (of_slot(each)) before.insert(each.place);
  }
  for (const PendingReply* at = &place; at != nullptr && !before.empty(); at = at->next) before.erase(at);
  return take([&](const Doubt& each) { return of_slot(each) && before.contains(each.place); });
}

void Doubts::on_done(const PendingReply& place, std::uint16_t slot) {
  for (const Doubt& each : take_before(place, slot)) give_up(each);
}

void Doubts::on_retry(const PendingReply& place, std::uint16_t slot) {
  retry(take_before(place, slot));
}

void Doubts::reconsider() {
  // When the last of a slot need not wait any more, those before it go with it, and first.
  std::vector<std::uint16_t> free;
  for (const Doubt& each : doubts_) {
    const std::uint16_t slot = each.pending->kind.slot;
    if (followed(*each.place, slot) == Followed::kNo) free.push_back(slot);
  }
  retry(take([&](const Doubt& each) { return std::ranges::find(free, each.pending->kind.slot) != free.end(); }));
}

void Doubts::retry(const std::vector<Doubt>& doubts) {
  for (const Doubt& each : doubts) {
    if (!session_.worker().redirection().park(*each.pending)) give_up(each);
  }
}

void Doubts::give_up(const Doubt& doubt) {
  if (doubt.split != nullptr) {
    doubt.split->settle(*doubt.pending, doubt.error);
  } else {
    session_.complete(*doubt.pending, doubt.error);
  }
}

void Doubts::abandon() {
  for (const Doubt& each : take([](const Doubt&) { return true; })) {
    if (each.split != nullptr) {
      give_up(each);
    } else {
      session_.worker().pending_replies().release(*each.pending);
    }
  }
}

}  // namespace sluice
