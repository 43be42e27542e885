#include "src/config_refusal.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

using When = Refusal::When;

constexpr std::array kRefusals{
    Refusal{"listen.tls", When::kWord, "true"},
    Refusal{"listen.proxy_protocol", When::kWord, "true"},
    Refusal{"backend.kind", When::kWord, "sentinel"},
    Refusal{"backend.kind", When::kWord, "none"},
    Refusal{"backend.master_name", When::kChanged, ""},
    Refusal{"backend.tls.enabled", When::kChanged, ""},
    Refusal{"backend.tls.ca", When::kChanged, ""},
    Refusal{"backend.tls.cert", When::kChanged, ""},
    Refusal{"backend.tls.key", When::kChanged, ""},
    Refusal{"backend.tls.server_name", When::kChanged, ""},
    Refusal{"backend.tls.verify", When::kChanged, ""},
    Refusal{"pool.mode", When::kWord, "affinity"},
    Refusal{"pool.mode", When::kWord, "dedicated"},
    Refusal{"pool.max_connections", When::kSet, ""},
    Refusal{"pool.init_connections", When::kSet, ""},
    Refusal{"pool.wait_timeout", When::kSet, ""},
    Refusal{"limits.clients_per_ip", When::kChanged, ""},
    Refusal{"limits.requests_per_second", When::kChanged, ""},
    Refusal{"users", When::kSet, ""},
    Refusal{"admin", When::kSet, ""},
    Refusal{"active_active", When::kSet, ""},
    Refusal{"discovery", When::kSet, ""},
};

constexpr std::string_view kNotBuilt = "not built into this version of sluice yet";

bool is_at_or_below(std::string_view path, std::string_view section) {
  return path.starts_with(section) && (path.size() == section.size() || path[section.size()] == '.');
}

}  // namespace

std::span<const Refusal> refusals() {
  return kRefusals;
}

bool is_refused_whole(std::string_view path) {
  return std::any_of(kRefusals.begin(), kRefusals.end(),
                     [path](const Refusal& row) { return row.when == When::kSet && is_at_or_below(path, row.path); });
}

std::optional<std::string> refusal_of(std::string_view path, const ConfigValue& value) {
  if (is_refused_whole(path) && !value.is_nothing()) return std::string(kNotBuilt);
  const bool is_refused_word = std::any_of(kRefusals.begin(), kRefusals.end(), [&](const Refusal& row) {
    return row.when == When::kWord && row.path == path && value.is_scalar() && row.word == value.text;
  });
  if (is_refused_word) return in_quotes(value.text) + " is " + std::string(kNotBuilt);
  return std::nullopt;
}

std::optional<std::string> refusal_of_change(std::string_view path) {
  const bool is_refused = std::any_of(kRefusals.begin(), kRefusals.end(), [path](const Refusal& row) {
    return row.when == When::kChanged && row.path == path;
  });
  return is_refused ? std::optional(std::string(kNotBuilt)) : std::nullopt;
}

}  // namespace sluice
