#include "src/config_schema.h"

#include <algorithm>
#include <array>
#include <vector>

#include "src/spelling.h"

namespace sluice {
namespace {

constexpr std::uint64_t kKb = 1024;
constexpr std::uint64_t kMb = kKb * kKb;
constexpr std::uint64_t kGb = kMb * kKb;
constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;

/// The field that a path of members leads to: member_at<&Config::backend, &BackendConfig::zone>(config).
template <auto First, auto... Rest>
auto& member_at(auto& object) {
  if constexpr (sizeof...(Rest) == 0) {
    return object.*First;
  } else {
    return member_at<Rest...>(object.*First);
  }
}

template <auto... Members>
void read_member(const ConfigValue& value, const ConfigBound& bound, Config& config, ConfigProblems& problems) {
  auto& field = member_at<Members...>(config);
  ConfigField<std::remove_cvref_t<decltype(field)>>::read(value, bound, field, problems);
}

template <auto... Members>
std::string write_member(const Config& config) {
  const auto& field = member_at<Members...>(config);
  return ConfigField<std::remove_cvref_t<decltype(field)>>::write(field);
}

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;
template <class K, class V>
constexpr bool kIsList<std::map<K, V>> = true;

template <auto... Members>
constexpr ConfigKey key(std::string_view path, std::string_view flags, std::string_view meaning,
                        ConfigBound bound = {}) {
  using Field = std::remove_cvref_t<decltype(member_at<Members...>(std::declval<Config&>()))>;
  return {path, flags, meaning, bound, kIsList<Field>, read_member<Members...>, write_member<Members...>};
}

constexpr ConfigKey key_without_field(std::string_view path, std::string_view meaning) {
  return {.path = path, .flags = "", .meaning = meaning, .bound = {}};
}

// The upper bounds only catch slips of the pen (a unit too many); the lower ones keep the proxy able to work at all.
constexpr std::array kKeys{
    key<&Config::listen>("listen", "--listen --addr", "where clients connect: host:port, [v6]:port or unix:/path"),
    key<&Config::workers>("workers", "--workers", "worker threads; 0: one per usable CPU", {0, 1024}),
    key<&Config::max_clients>("max_clients", "--max-clients", "clients served at once", {1, 1'000'000}),

    key<&Config::backend, &BackendConfig::kind>("backend.kind", "--backend --backend-kind",
                                                "cluster, standalone, sentinel or none"),
    key<&Config::backend, &BackendConfig::nodes>("backend.nodes", "--nodes --backend-nodes --startup-nodes",
                                                 "host:port of some nodes; any of them may be down"),
    key<&Config::backend, &BackendConfig::master_name>("backend.master_name", "--master-name --backend-master-name",
                                                       "the group that the sentinels watch"),
    key<&Config::backend, &BackendConfig::username>("backend.username", "--username --backend-username",
                                                    "user on the backend; empty: the default user"),
    key<&Config::backend, &BackendConfig::password>("backend.password", "--password --backend-password",
                                                    "literal, ${ENV_VAR} or @/path/to/file"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::enabled>(
        "backend.tls.enabled", "--tls-enabled --backend-tls-enabled", "TLS toward the backend"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::ca>("backend.tls.ca", "--tls-ca --backend-tls-ca",
                                                               "file of the authorities trusted"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::cert>("backend.tls.cert", "--tls-cert --backend-tls-cert",
                                                                 "file of the client certificate"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::key>("backend.tls.key", "--tls-key --backend-tls-key",
                                                                "file of the client certificate's key"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::server_name>(
        "backend.tls.server_name", "--tls-server-name --backend-tls-server-name", "the name the certificate must have"),
    key<&Config::backend, &BackendConfig::tls, &TlsConfig::verify>(
        "backend.tls.verify", "--tls-verify --backend-tls-verify", "whether the certificate is checked"),
    key<&Config::backend, &BackendConfig::read_from>("backend.read_from",
                                                     "--read-from --backend-read-from --read-prefer",
                                                     "primary, prefer_replica, replica, any or zone"),
    key<&Config::backend, &BackendConfig::zone>("backend.zone", "--zone --backend-zone",
                                                "this proxy's availability zone, for read_from zone"),
    key<&Config::backend, &BackendConfig::refresh_interval>(
        "backend.refresh_interval", "--refresh-interval --backend-refresh-interval --slots-reload-interval",
        "how often the topology is asked for", {100, 24 * kHour}),
    key<&Config::backend, &BackendConfig::auto_redirect>("backend.auto_redirect",
                                                         "--auto-redirect --backend-auto-redirect",
                                                         "follow MOVED and ASK; false: the client gets them"),
    key<&Config::backend, &BackendConfig::connect_timeout>("backend.connect_timeout",
                                                           "--connect-timeout --backend-connect-timeout",
                                                           "to connect to a node", {1, 10 * kMinute}),
    key<&Config::backend, &BackendConfig::command_timeout>("backend.command_timeout",
                                                           "--command-timeout --backend-command-timeout",
                                                           "for one command, redirects included", {1, kHour}),

    key<&Config::pool, &PoolConfig::mode>("pool.mode", "--pool-mode", "shared, affinity or dedicated"),
    key<&Config::pool, &PoolConfig::connections_per_node>("pool.connections_per_node",
                                                          "--pool-connections-per-node --backend-idle-connections",
                                                          "multiplexed connections per worker and node", {1, 64}),
    key<&Config::pool, &PoolConfig::max_connections>("pool.max_connections", "--pool-max-connections",
                                                     "exclusive connections per node", {1, 100'000}),
    key<&Config::pool, &PoolConfig::init_connections>("pool.init_connections", "--pool-init-connections",
                                                      "exclusive connections opened ahead", {0, 100'000}),
    key<&Config::pool, &PoolConfig::wait_timeout>("pool.wait_timeout", "--pool-wait-timeout",
                                                  "wait for an exclusive connection", {1, 10 * kMinute}),
    key<&Config::pool, &PoolConfig::idle_timeout>("pool.idle_timeout", "--pool-idle-timeout",
                                                  "close a backend connection idle for this long; 0: never",
                                                  {0, 7 * 24 * kHour}),
    key<&Config::pool, &PoolConfig::session_timeout>("pool.session_timeout", "--pool-session-timeout",
                                                     "close a client idle for this long; 0: never",
                                                     {0, 7 * 24 * kHour}),

    key<&Config::large_values, &LargeValuesConfig::threshold>("large_values.threshold", "--large-values-threshold",
                                                              "values this large are spliced", {4 * kKb, 512 * kMb}),

    key<&Config::announce, &AnnounceConfig::address>("announce.address", "--announce-address",
                                                     "host:port that clients are told is this proxy"),
    key<&Config::announce, &AnnounceConfig::proxies>("announce.proxies", "--announce-proxies",
                                                     "host:port of the sibling proxies"),
    key<&Config::announce, &AnnounceConfig::map>("announce.map", "--announce-map",
                                                 "internal=public pairs of host:port"),

    key<&Config::limits, &LimitsConfig::max_request>("limits.max_request", "--limits-max-request",
                                                     "size of one request", {kKb, kGb}),
    key<&Config::limits, &LimitsConfig::max_pipeline>("limits.max_pipeline", "--limits-max-pipeline",
                                                      "unanswered requests of one client", {1, 1'000'000}),
    key<&Config::limits, &LimitsConfig::output_buffer>("limits.output_buffer", "--limits-output-buffer",
                                                       "unsent replies of one client", {kMb, 64 * kGb}),
    key<&Config::limits, &LimitsConfig::clients_per_ip>("limits.clients_per_ip", "--limits-clients-per-ip",
                                                        "clients from one address; 0: no limit"),
    key<&Config::limits, &LimitsConfig::requests_per_second>(
        "limits.requests_per_second", "--limits-requests-per-second", "requests of one user; 0: no limit"),

    key_without_field("users", "who may do what"),
    key<&Config::admin, &AdminConfig::listen>("admin.listen", "--admin-listen --debug-addr",
                                              "where /metrics and the admin API are served"),

    key<&Config::active_active, &ActiveActiveConfig::region>("active_active.region", "--active-active-region",
                                                             "the name of this region"),
    key<&Config::active_active, &ActiveActiveConfig::node_id>("active_active.node_id", "--active-active-node-id",
                                                              "1..1023, unique among all members", {1, 1023}),
    key<&Config::active_active, &ActiveActiveConfig::listen>("active_active.listen", "--active-active-listen",
                                                             "where peers connect"),
    key_without_field("active_active.peers", "the other members"),
    key<&Config::active_active, &ActiveActiveConfig::secret>("active_active.secret", "--active-active-secret",
                                                             "shared by all members"),
    key<&Config::active_active, &ActiveActiveConfig::keys>("active_active.keys", "--active-active-keys",
                                                           "patterns of the keys held active-active"),
    key<&Config::active_active, &ActiveActiveConfig::data_dir>("active_active.data_dir", "--active-active-data-dir",
                                                               "where the store lives"),
    key<&Config::active_active, &ActiveActiveConfig::fsync>("active_active.fsync", "--active-active-fsync",
                                                            "always, everysec or no"),
    key_without_field("discovery", "Consul or etcd"),

    key<&Config::log, &LogConfig::level>("log.level", "--log-level", "trace, debug, info, warn, error or off"),
    key<&Config::log, &LogConfig::format>("log.format", "--log-format", "text or json"),
};

// "backend." of "backend.zone", empty at the top.
std::string_view section_prefix(std::string_view path) {
  return path.substr(0, path.rfind('.') + 1);
}

}  // namespace

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_key(std::string_view path) {
  const auto found =
      std::find_if(kKeys.begin(), kKeys.end(), [path](const ConfigKey& row) { return row.path == path; });
  return found == kKeys.end() ? nullptr : &*found;
}

bool is_section(std::string_view path) {
  return std::any_of(kKeys.begin(), kKeys.end(), [path](const ConfigKey& row) {
    return row.path.size() > path.size() && row.path.starts_with(path) && row.path[path.size()] == '.';
  });
}

std::string nearest_path(std::string_view path) {
  const std::string_view prefix = section_prefix(path);
  std::vector<std::string_view> siblings;
  for (const ConfigKey& row : kKeys) {
    if (!row.path.starts_with(prefix)) continue;
    const std::string_view name = row.path.substr(prefix.size());
    siblings.push_back(name.substr(0, name.find('.')));
  }
  const std::string_view nearest = nearest_word(path.substr(prefix.size()), siblings);
  return nearest.empty() ? std::string() : std::string(prefix) + std::string(nearest);
}

}  // namespace sluice
