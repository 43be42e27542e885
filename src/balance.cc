#include "src/balance.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace sluice {

std::vector<std::vector<Balance::Share>> Balance::plan(std::span<const double> used) {
  assert(used.size() == used_.size());
  for (std::size_t i = 0; i < used_.size(); ++i) used_[i] += (used[i] - used_[i]) / 2;
  return shares(adjust());
}

std::size_t Balance::choose(std::span<const std::size_t> clients) const {
  assert(clients.size() == used_.size());
  const double enough = *std::ranges::min_element(used_) + kGap;
  std::size_t best = used_.size();
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i] <= enough && (best == used_.size() || clients[i] < clients[best])) best = i;
  }
  return best;
}

double Balance::total() const {
  return std::accumulate(used_.begin(), used_.end(), 0.0);
}

/// How many are in use. True when these are to be made level.
bool Balance::adjust() {
  const double all = total();
  const bool calm = in_use_ > 1 && all < kSpare * static_cast<double>(in_use_ - 1);
  calm_ = calm ? calm_ + 1 : 0;
  if (calm_ == kCalmTicks) {
    --in_use_;
    calm_ = 0;
  }
  if (rest_ > 0 && --rest_ > 0) return false;
  if (all > kBusy * static_cast<double>(in_use_) && in_use_ < used_.size()) {
    const auto wanted = static_cast<std::size_t>(std::ceil(all / kAim));
    in_use_ = std::clamp(wanted, in_use_ + 1, used_.size());
    rest_ = kRestTicks;
    return true;
  }
  const auto [least, most] = std::minmax_element(used_.begin(), used_.begin() + static_cast<std::ptrdiff_t>(in_use_));
  if (*most < kBusy || *most - *least < kGap) {
    pause_ = kRestTicks;
    return false;
  }
  // One client may be all there is to it, wherever it goes.
  rest_ = pause_;
  pause_ = std::min(2 * pause_, kLongestRest);
  return true;
}

/// Those not in use give all they have. Of the others, those with more than the mean give that when it `levels`.
std::vector<std::vector<Balance::Share>> Balance::shares(bool levels) const {
  const double mean = total() / static_cast<double>(in_use_);
  const auto end = used_.begin() + static_cast<std::ptrdiff_t>(in_use_);
  const bool gathers = std::accumulate(end, used_.end(), 0.0) >= kTrifle;
  std::vector<double> room;
  for (std::size_t i = 0; i < in_use_; ++i) room.push_back(std::max(mean - used_[i], 0.0));
  std::vector<std::vector<Share>> shares(used_.size());
  std::size_t to = 0;
  for (std::size_t from = 0; from < used_.size(); ++from) {
    const bool in_use = from < in_use_;
    double surplus = in_use ? used_[from] - mean : used_[from];
    if (!(in_use ? levels : gathers)) continue;
    while (surplus > 0 && to < in_use_) {
      const double given = std::min(surplus, room[to]);
      if (given > 0) shares[from].push_back({static_cast<unsigned>(to), given / used_[from]});
      surplus -= given;
      room[to] -= given;
      if (surplus > 0) ++to;
    }
  }
  return shares;
}

}  // namespace sluice
