#include "src/doubts.h"

#include <algorithm>
#include <iterator>
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
  pending.in_doubt = true;
  doubts_[pending.kind.slot].push_back({&place, &pending, split, std::string(error)});
}

/// Removes those before `place`. What is done with them may call back.
std::vector<Doubts::Doubt> Doubts::take_before(const PendingReply& place, std::uint16_t slot) {
  const auto found = doubts_.find(slot);
  if (found == doubts_.end()) return {};
  // One walk along the line: it may be long, and all of it in doubt.
  std::unordered_set<const PendingReply*> before;
  for (const Doubt& each : found->second) before.insert(each.place);
  for (const PendingReply* at = &place; at != nullptr && !before.empty(); at = at->next) before.erase(at);
  std::vector<Doubt> taken;
  std::vector<Doubt> rest;
  for (Doubt& each : found->second) (before.contains(each.place) ? taken : rest).push_back(std::move(each));
  if (rest.empty()) {
    doubts_.erase(found);
  } else {
    found->second = std::move(rest);
  }
  return taken;
}

void Doubts::on_done(const PendingReply& place, std::uint16_t slot) {
  for (const Doubt& each : take_before(place, slot)) give_up(each);
}

void Doubts::on_retry(const PendingReply& place, std::uint16_t slot) {
  retry(take_before(place, slot));
}

void Doubts::reconsider() {
  // When the last of a slot need not wait any more, those before it go with it, and first. What nobody can say now,
  // nobody may ever say: they end here.
  std::vector<Doubt> free;
  std::vector<Doubt> lost;
  for (auto at = doubts_.begin(); at != doubts_.end();) {
    bool is_free = false;
    bool is_lost = false;
    for (const Doubt& each : at->second) {
      const Followed now = followed(*each.place, at->first);
      is_free |= now == Followed::kNo;
      is_lost |= now == Followed::kUnknown;
    }
    if (!is_free && !is_lost) {
      ++at;
      continue;
    }
    std::ranges::move(at->second, std::back_inserter(is_free ? free : lost));
    at = doubts_.erase(at);
  }
  retry(free);
  for (const Doubt& each : lost) give_up(each);
}

void Doubts::retry(const std::vector<Doubt>& doubts) {
  for (const Doubt& each : doubts) {
    each.pending->in_doubt = false;
    if (!session_.park(*each.pending)) give_up(each);
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
  for (const auto& [slot, doubts] : std::exchange(doubts_, {})) {
    for (const Doubt& each : doubts) {
      if (each.split != nullptr) {
        give_up(each);
      } else {
        session_.worker().pending_replies().release(*each.pending);
      }
    }
  }
}

}  // namespace sluice
