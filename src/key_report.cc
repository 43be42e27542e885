#include "src/key_report.h"

#include <algorithm>
#include <cmath>

#include "resp/writer.h"
#include "src/worker.h"

namespace sluice {
namespace {

/// Lines of one key become one; then the first `count` by `comes_first` remain.
template <typename Line, typename Before, typename Join, typename Largest>
void condense(std::vector<Line>& lines, std::size_t count, Before before, Join join, Largest comes_first) {
  std::ranges::sort(lines, before);
  std::size_t kept = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (before(lines[kept], lines[i])) {
      lines[++kept] = lines[i];
    } else {
      join(lines[kept], lines[i]);
    }
  }
  if (!lines.empty()) lines.resize(kept + 1);
  std::ranges::sort(lines, comes_first);
  if (lines.size() > count) lines.resize(count);
}

std::int64_t per_second(std::uint64_t sampled, std::uint32_t age_ms) {
  const double requests = static_cast<double>(sampled) * limits::kSampledEvery;
  return std::llround(requests * 1000 / std::max(age_ms, 1U));
}

/// With two decimals.
double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : std::round(static_cast<double>(part) * 10'000 / static_cast<double>(whole)) / 100;
}

void write_number(resp::Writer& writer, std::string_view name, std::uint64_t value) {
  writer.bulk(name);
  writer.integer(static_cast<std::int64_t>(value));
}

void write_key(resp::Writer& writer, const ShownKey& key) {
  writer.bulk("key");
  writer.bulk(key.shown());
  write_number(writer, "key-length", key.length());
}

}  // namespace

// --- SLUICE HOTKEYS

void HotKeysRound::visit(Worker& worker) {
  const KeyWindow<HotKeys>& window = worker.key_watch().hot_keys();
  age_ms_ = std::max(age_ms_, window.age_ms(worker.now_ms()));
  for (const HotKeys* half : {&window.younger(), &window.elder()}) {
    requests_ += half->requests;
    for (std::size_t i = 0; i < half->sketch.size(); ++i) {
      lines_.push_back({half->sketch.key(i), half->sketch.least(i)});
    }
  }
}

std::string HotKeysRound::reply() {
  condense(
      lines_, count_, [](const Line& a, const Line& b) { return a.key < b.key; },
      [](Line& a, const Line& b) { a.requests += b.requests; },
      [](const Line& a, const Line& b) { return a.requests > b.requests; });
  std::string reply;
  resp::Writer writer(reply, protocol());
  writer.map(4);
  write_number(writer, "window-seconds", age_ms_ / 1000);
  write_number(writer, "requests-sampled", requests_);
  writer.bulk("requests-per-second");
  writer.integer(per_second(requests_, age_ms_));
  writer.bulk("keys");
  writer.array(lines_.size());
  for (const Line& line : lines_) {
    writer.map(5);
    write_key(writer, line.key);
    write_number(writer, "requests-sampled", line.requests);
    writer.bulk("requests-per-second");
    writer.integer(per_second(line.requests, age_ms_));
    writer.bulk("percent");
    writer.real(percent(line.requests, requests_));
  }
  return reply;
}

// --- SLUICE BIGKEYS

void BigKeysRound::visit(Worker& worker) {
  const KeyWatch::BigKeysWindow& window = worker.key_watch().big_keys();
  age_ms_ = std::max(age_ms_, window.age_ms(worker.now_ms()));
  for (const auto* half : {&window.younger(), &window.elder()}) {
    for (const BigKey& seen : half->keys()) {
      lines_.push_back({seen, worker.now_ms() - seen.last_ms, std::string(seen.command)});
    }
  }
}

std::string BigKeysRound::reply() {
  condense(
      lines_, count_,
      [](const Line& a, const Line& b) {
        return a.seen.key != b.seen.key ? a.seen.key < b.seen.key : a.seen.direction < b.seen.direction;
      },
      [](Line& a, const Line& b) {
        const std::uint64_t times = a.seen.times + b.seen.times;
        const std::uint32_t ago_ms = std::min(a.ago_ms, b.ago_ms);
        if (b.seen.bytes > a.seen.bytes) a = b;
        a.seen.times = times;
        a.ago_ms = ago_ms;
      },
      [](const Line& a, const Line& b) { return a.seen.bytes > b.seen.bytes; });
  std::string reply;
  resp::Writer writer(reply, protocol());
  writer.map(2);
  write_number(writer, "window-seconds", age_ms_ / 1000);
  writer.bulk("keys");
  writer.array(lines_.size());
  for (const Line& line : lines_) {
    writer.map(7);
    write_key(writer, line.seen.key);
    write_number(writer, "bytes", line.seen.bytes);
    writer.bulk("direction");
    writer.bulk(line.seen.direction == Direction::kRequest ? "request" : "reply");
    writer.bulk("command");
    writer.bulk(line.command);
    write_number(writer, "times", line.seen.times);
    write_number(writer, "seconds-ago", line.ago_ms / 1000);
  }
  return reply;
}

// --- RESET

void ForgetKeysRound::visit(Worker& worker) {
  if (table_ == Table::kHotKeys) {
    worker.key_watch().clear_hot_keys();
  } else {
    worker.key_watch().clear_big_keys();
  }
}

}  // namespace sluice
