// The configuration from the outside: what a file and the flags make of it, and what is not built yet.
#include "src/config.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "src/config_refusal.h"
#include "src/config_schema.h"
#include "tests/config_loading.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;
using namespace tests;

// --- every key

/// One value of each built key that is not its default, in YAML and as a flag's argument.
struct Sample {
  std::string yaml;
  std::string flag;
};
const std::map<std::string, Sample, std::less<>>& samples() {
  static const std::map<std::string, Sample, std::less<>> kSamples{
      {"listen", {"[\"127.0.0.1:7000\", \"[::1]:7000\", \"unix:/run/s\"]", "127.0.0.1:7000,[::1]:7000,unix:/run/s"}},
      {"workers", {"4", "4"}},
      {"max_clients", {"77", "77"}},
      {"backend.kind", {"standalone", "standalone"}},
      {"backend.nodes", {"[\"n1:7001\", \"[fe80::1]:7002\"]", "n1:7001, [fe80::1]:7002"}},
      {"backend.master_name", {"mymaster", "mymaster"}},
      {"backend.username", {"\"proxy \\\"one\\\"\"", "proxy \"one\""}},
      {"backend.password", {"\"pa,ss\"", "pa,ss"}},
      {"backend.tls.enabled", {"false", "false"}},
      {"backend.tls.ca", {"\"\"", ""}},
      {"backend.tls.cert", {"\"\"", ""}},
      {"backend.tls.key", {"\"\"", ""}},
      {"backend.tls.server_name", {"\"\"", ""}},
      {"backend.tls.verify", {"true", "true"}},
      {"backend.read_from", {"any", "any"}},
      {"backend.zone", {"eu-1a", "eu-1a"}},
      {"backend.refresh_interval", {"90s", "90s"}},
      {"backend.auto_redirect", {"false", "false"}},
      {"backend.connect_timeout", {"250ms", "250ms"}},
      {"backend.command_timeout", {"1m", "1m"}},
      {"pool.mode", {"shared", "shared"}},
      {"pool.connections_per_node", {"3", "3"}},
      {"pool.idle_timeout", {"0", "0"}},
      {"pool.session_timeout", {"2h", "2h"}},
      {"large_values.threshold", {"100kb", "100kb"}},
      {"announce.address", {"\"p:6380\"", "p:6380"}},
      {"announce.proxies", {"[\"q:1\", \"r:2\"]", "q:1,r:2"}},
      {"announce.map", {"{\"i:1\": \"o:1\", \"[::1]:2\": \"o:2\"}", "i:1=o:1, [::1]:2=o:2"}},
      {"limits.max_request", {"1mb", "1mb"}},
      {"limits.max_pipeline", {"9", "9"}},
      {"limits.output_buffer", {"3gb", "3gb"}},
      {"limits.clients_per_ip", {"0", "0"}},
      {"limits.requests_per_second", {"0", "0"}},
      {"log.level", {"warn", "warn"}},
      {"log.format", {"json", "json"}},
  };
  return kSamples;
}

/// Keys of which only the default is built: their sample cannot differ from it.
bool has_one_value(std::string_view path) {
  return refusal_of_change(path).has_value() || path == "pool.mode";
}

/// "a.b.c" and "1" as "a: {b: {c: 1}}". The nodes that every file needs are added unless that is the key.
std::string file_with(const std::string& path, const std::string& value) {
  std::string yaml = value;
  std::string rest = path;
  const bool is_of_backend = path.starts_with("backend.") && path != "backend.nodes";
  for (std::size_t dot = rest.rfind('.'); dot != std::string::npos; dot = rest.rfind('.')) {
    const bool is_outermost = rest.find('.') == dot;
    const std::string nodes = is_of_backend && is_outermost ? "nodes: [\"a:1\"], " : "";
    yaml = "{" + nodes + rest.substr(dot + 1) + ": " + yaml + "}";
    rest.resize(dot);
  }
  yaml = rest + ": " + yaml + "\n";
  return path.starts_with("backend.") ? yaml : yaml + kNodes;
}

Lines words_of_line(std::string_view line) {
  Lines words;
  std::istringstream stream{std::string(line)};
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

TEST(EveryKey, IsSampledUnlessItIsRefusedWhole) {
  for (const ConfigKey& key : config_keys()) {
    EXPECT_EQ(samples().contains(key.path), !is_refused_whole(key.path)) << key.path;
    EXPECT_TRUE(key.read != nullptr || is_refused_whole(key.path)) << key.path;
  }
}

TEST(EveryKey, IsReadFromTheFileAndFromEachOfItsFlags) {
  for (const auto& [path, sample] : samples()) {
    const ConfigKey* key = find_key(path);
    ASSERT_NE(key, nullptr) << path;
    const Config by_file = config_of(load(file_with(path, sample.yaml)));
    EXPECT_EQ(key->write(by_file) != key->write(Config()), !has_one_value(path)) << path;

    for (const std::string& flag : words_of_line(key->flags)) {
      Lines arguments{flag, sample.flag};
      if (path != "backend.nodes") arguments.insert(arguments.end(), {"--nodes", "a:1"});
      EXPECT_EQ(config_of(run(arguments).loaded), by_file) << flag;
      arguments.erase(arguments.begin(), arguments.begin() + 2);
      arguments.push_back(flag + "=" + sample.flag);
      EXPECT_EQ(config_of(run(arguments).loaded), by_file) << flag << " with =";
    }
  }
}

TEST(EveryKey, HasTheFlagOfItsPath) {
  for (const ConfigKey& key : config_keys()) {
    if (key.read == nullptr) continue;
    std::string flag = "--" + std::string(key.path);
    std::replace_if(
        flag.begin(), flag.end(), [](char c) { return c == '.' || c == '_'; }, '-');
    const Lines flags = words_of_line(key.flags);
    EXPECT_NE(std::find(flags.begin(), flags.end(), flag), flags.end()) << key.path;
  }
}

TEST(EveryKey, FlagWinsOverTheFile) {
  const TemporaryFile file("workers: 3\nmax_clients: 5\nbackend: {nodes: [\"a:1\"], read_from: any}\n");
  const Config config = config_of(run({"--workers", "8", "--config", file.path(), "--read-from=replica"}).loaded);
  EXPECT_EQ(config.workers, 8U);
  EXPECT_EQ(config.max_clients, 5U);
  EXPECT_EQ(config.backend.read_from, ReadFrom::kReplica);
  EXPECT_EQ(config.backend.nodes, (std::vector<cluster::Address>{{"a", 1}}));
}

TEST(EveryKey, LandsInItsOwnField) {
  Config expected;
  expected.listen = {{.address = {.host = "::", .port = 6380, .path = {}}},
                     {.address = {.host = "", .port = 0, .path = "/run/sluice.sock"}}};
  expected.workers = 2;
  expected.max_clients = 3;
  expected.backend = {.kind = BackendKind::kStandalone,
                      .nodes = {{"n", 4}},
                      .master_name = "mymaster",
                      .username = "u",
                      .password = Secret("p"),
                      .tls = {},
                      .read_from = ReadFrom::kZone,
                      .zone = "z",
                      .refresh_interval = 5s,
                      .auto_redirect = false,
                      .connect_timeout = 6ms,
                      .command_timeout = 7min};
  expected.pool.connections_per_node = 8;
  expected.pool.idle_timeout = 9s;
  expected.pool.session_timeout = 10s;
  expected.large_values.threshold = 18 * 1024;
  expected.announce = {.address = cluster::Address{"h", 11}, .proxies = {{"h", 12}}, .map = {{{"i", 13}, {"o", 14}}}};
  expected.limits.max_request = 15 * 1024;
  expected.limits.max_pipeline = 16;
  expected.limits.output_buffer = 17 * 1024 * 1024;
  expected.log = {.level = LogLevel::kDebug, .format = LogFormat::kJson};
  EXPECT_EQ(config_of(load(R"(
listen:
  - "[::]:6380"
  - {address: "unix:/run/sluice.sock", tls: false, proxy_protocol: false}
workers: 2
max_clients: 3
backend:
  kind: standalone
  nodes: n:4
  username: u
  password: p
  read_from: zone
  zone: z
  refresh_interval: 5s
  auto_redirect: false
  connect_timeout: 6ms
  command_timeout: 7m
pool: {mode: shared, connections_per_node: 8, idle_timeout: 9s, session_timeout: 10s}
large_values: {threshold: 18kb}
announce: {address: "h:11", proxies: ["h:12"], map: {"i:13": "o:14"}}
limits: {max_request: 15kb, max_pipeline: 16, output_buffer: 17mb, clients_per_ip: 0, requests_per_second: 0}
users: []
active_active:
discovery: {}
log: {level: debug, format: json}
)")),
            expected);
}

TEST(EveryKey, DefaultsAreThoseOfTheContract) {
  const Config config = config_of(load(kNodes));
  EXPECT_EQ(describe(config), R"(listen: ["0.0.0.0:6380"]
workers: 0
max_clients: 10000
backend:
  kind: cluster
  nodes: ["a:1"]
  master_name: "mymaster"
  username: ""
  password: ""
  tls:
    enabled: false
    ca: ""
    cert: ""
    key: ""
    server_name: ""
    verify: true
  read_from: primary
  zone: ""
  refresh_interval: 30s
  auto_redirect: true
  connect_timeout: 3s
  command_timeout: 10s
pool:
  mode: shared
  connections_per_node: 1
  idle_timeout: 3m
  session_timeout: 5m
large_values:
  threshold: 96kb
announce:
  address: ""
  proxies: []
  map: {}
limits:
  max_request: 512mb
  max_pipeline: 65536
  output_buffer: 256mb
  clients_per_ip: 0
  requests_per_second: 0
log:
  level: info
  format: text
)");
}

TEST(EveryKey, ListsAreTakenInEveryForm) {
  const std::vector<cluster::Address> nodes{{"a", 1}, {"b", 2}};
  EXPECT_EQ(config_of(load("backend: {nodes: \"a:1, b:2\"}")).backend.nodes, nodes);
  EXPECT_EQ(config_of(load("backend:\n  nodes:\n    - a:1\n    - b:2\n")).backend.nodes, nodes);
  EXPECT_EQ(config_of(run({"--nodes", "a:1", "--startup-nodes=b:2"}).loaded).backend.nodes, nodes);
  EXPECT_EQ(config_of(load("listen: {address: \"h:5\"}\n" + kNodes)).listen[0].address.text(), "h:5");
  EXPECT_EQ(config_of(load("listen: unix:/a\n" + kNodes)).listen[0].address.text(), "unix:/a");
}

TEST(EveryKey, OldReadPreferTakesNumbers) {
  EXPECT_EQ(config_of(run({"--nodes=a:1", "--read-prefer=0"}).loaded).backend.read_from, ReadFrom::kPrimary);
  EXPECT_EQ(config_of(run({"--nodes=a:1", "--read-prefer=1"}).loaded).backend.read_from, ReadFrom::kPreferReplica);
  EXPECT_EQ(config_of(run({"--nodes=a:1", "--read-prefer=2", "--zone=z"}).loaded).backend.read_from, ReadFrom::kZone);
  EXPECT_EQ(flag_errors({"--nodes=a:1", "--read-from=1"}),
            Lines{"--read-from: \"1\" is not one of primary, prefer_replica, replica, any, zone"});
}

// --- what is not built

TEST(NotBuilt, IsRefusedInTheFile) {
  const std::string kNot = "not built into this version of sluice yet";
  const std::vector<std::pair<std::string, std::string>> kCases{
      {"listen: [{address: \"h:1\", tls: true}]", "listen[0].tls: \"true\" is " + kNot},
      {"listen: [\"g:1\", {address: \"h:1\", proxy_protocol: true}]", "listen[1].proxy_protocol: \"true\" is " + kNot},
      {"backend: {kind: sentinel}", "backend.kind: \"sentinel\" is " + kNot},
      {"backend: {kind: none}", "backend.kind: \"none\" is " + kNot},
      {"backend: {nodes: [\"a:1\"], master_name: x}", "backend.master_name: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {enabled: true}}", "backend.tls.enabled: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {ca: /x}}", "backend.tls.ca: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {cert: /x}}", "backend.tls.cert: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {key: /x}}", "backend.tls.key: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {server_name: x}}", "backend.tls.server_name: " + kNot},
      {"backend: {nodes: [\"a:1\"], tls: {verify: false}}", "backend.tls.verify: " + kNot},
      {"pool: {mode: affinity}", "pool.mode: \"affinity\" is " + kNot},
      {"pool: {mode: dedicated}", "pool.mode: \"dedicated\" is " + kNot},
      {"pool: {max_connections: 200}", "pool.max_connections: " + kNot},
      {"pool: {init_connections: 20}", "pool.init_connections: " + kNot},
      {"pool: {wait_timeout: 2s}", "pool.wait_timeout: " + kNot},
      {"limits: {clients_per_ip: 1}", "limits.clients_per_ip: " + kNot},
      {"limits: {requests_per_second: 1}", "limits.requests_per_second: " + kNot},
      {"users: [{name: x}]", "users: " + kNot},
      {"admin: {listen: \"127.0.0.1:9380\"}", "admin: " + kNot},
      {"active_active: {region: eu, peers: [{region: us}]}", "active_active: " + kNot},
      {"discovery: {consul: x}", "discovery: " + kNot},
  };
  EXPECT_EQ(kCases.size(), refusals().size());
  for (const auto& [yaml, message] : kCases) {
    const std::string nodes = yaml.starts_with("backend") ? "" : kNodes;
    EXPECT_EQ(errors_of("\n" + yaml + "\n" + nodes), Lines{"sluice.yaml:2: " + message}) << yaml;
  }
}

TEST(NotBuilt, IsRefusedAsAFlag) {
  const std::string kNot = "not built into this version of sluice yet";
  EXPECT_EQ(flag_errors({"--backend", "sentinel"}), Lines{"--backend: \"sentinel\" is " + kNot});
  EXPECT_EQ(flag_errors({"--backend-kind", "none"}), Lines{"--backend-kind: \"none\" is " + kNot});
  const Lines kArguments{"--master-name=x",
                         "--tls-enabled=true",
                         "--tls-ca=x",
                         "--tls-cert=x",
                         "--tls-key=x",
                         "--tls-server-name=x",
                         "--tls-verify=false",
                         "--pool-max-connections=1",
                         "--pool-init-connections=1",
                         "--pool-wait-timeout=1s",
                         "--limits-clients-per-ip=1",
                         "--limits-requests-per-second=1",
                         "--admin-listen=h:1",
                         "--debug-addr=:1",
                         "--active-active-region=eu",
                         "--active-active-node-id=1",
                         "--active-active-listen=h:1",
                         "--active-active-secret=x",
                         "--active-active-keys=*",
                         "--active-active-data-dir=/x",
                         "--active-active-fsync=no"};
  for (const std::string& argument : kArguments) {
    const std::string flag = argument.substr(0, argument.find('='));
    EXPECT_EQ(flag_errors({"--nodes=a:1", argument}), Lines{flag + ": " + kNot});
  }
}

TEST(NotBuilt, EachRowNamesAKeyOrASection) {
  for (const Refusal& row : refusals()) {
    const bool is_of_listener = row.path == "listen.tls" || row.path == "listen.proxy_protocol";
    EXPECT_TRUE(find_key(row.path) != nullptr || is_section(row.path) || is_of_listener) << row.path;
  }
}

// --- what the binary is asked to do

TEST(Actions, AreTakenFromTheFlags) {
  EXPECT_EQ(run({"--nodes=a:1"}).action, Action::kServe);
  EXPECT_EQ(run({"--nodes=a:1", "--check-config"}).action, Action::kCheckConfig);
  EXPECT_EQ(flag_errors({"--check-config"}).size(), 1U);
  EXPECT_EQ(run({"--kernel-features"}).action, Action::kKernelFeatures);
  EXPECT_EQ(run({"--version"}).action, Action::kShowVersion);
  EXPECT_EQ(run({"--check-config", "--version", "--help"}).action, Action::kShowHelp);
  EXPECT_EQ(run({"-h"}).loaded.errors, Lines{});
}

TEST(Actions, UsageNamesTheMainFlagOfEachKey) {
  const std::string text = usage();
  for (const ConfigKey& key : config_keys()) {
    const Lines flags = words_of_line(key.flags);
    if (flags.empty()) continue;
    EXPECT_NE(text.find("  " + flags[0] + " "), std::string::npos) << flags[0];
  }
  EXPECT_EQ(text.find("--startup-nodes"), std::string::npos);
}

// --- laws

cluster::Address any_address() {
  const auto host = *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('a', 'z')));
  return {host.substr(0, 20), *rc::gen::inRange<std::uint16_t>(1, 65535)};
}

std::string any_text() {
  return *rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
}

Milliseconds any_duration(int least) {
  return Milliseconds(*rc::gen::inRange(least, 600'000));
}

Config any_config() {
  Config config;
  config.listen = {{.address = {.host = any_address().host, .port = 1, .path = {}}},
                   {.address = {.host = {}, .port = 0, .path = "/" + any_address().host}}};
  config.workers = *rc::gen::inRange<Count>(0, 1025);
  config.max_clients = *rc::gen::inRange<Count>(1, 1'000'001);
  config.backend.kind = *rc::gen::element(BackendKind::kCluster, BackendKind::kStandalone);
  config.backend.nodes = {any_address(), {"::1", 5}, any_address()};
  config.backend.username = any_text();
  config.backend.zone = "z" + any_text();
  config.backend.read_from = static_cast<ReadFrom>(*rc::gen::inRange(0, 5));
  config.backend.refresh_interval = any_duration(100);
  config.backend.auto_redirect = *rc::gen::arbitrary<bool>();
  config.backend.connect_timeout = any_duration(1);
  config.backend.command_timeout = any_duration(1);
  config.pool.connections_per_node = *rc::gen::inRange<Count>(1, 65);
  config.pool.idle_timeout = any_duration(0);
  config.pool.session_timeout = any_duration(0);
  config.large_values.threshold = *rc::gen::inRange<Bytes>(4096, 512ULL << 20);
  if (*rc::gen::arbitrary<bool>()) config.announce.address = any_address();
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    config.announce.proxies.push_back(any_address());
    config.announce.map.emplace(any_address(), any_address());
  }
  config.limits.max_request = *rc::gen::inRange<Bytes>(1024, 1ULL << 30);
  config.limits.max_pipeline = *rc::gen::inRange<Count>(1, 1'000'001);
  config.limits.output_buffer = *rc::gen::inRange<Bytes>(1 << 20, 1ULL << 36);
  config.log.level = static_cast<LogLevel>(*rc::gen::inRange(0, 6));
  config.log.format = static_cast<LogFormat>(*rc::gen::inRange(0, 2));
  return config;
}

TEST(Laws, WhatIsDescribedLoadsAgain) {
  EXPECT_TRUE(rc::check([] {
    const Config config = any_config();
    const ConfigResult again = load(describe(config));
    RC_ASSERT(again.errors == Lines{});
    RC_ASSERT(again.config == config);
    RC_ASSERT(describe(again.config) == describe(config));
  }));
}

std::string text_of_file(const std::string& name) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// --- what is shipped

TEST(Shipped, TheExampleIsValid) {
  const ConfigResult result = load(text_of_file("deploy/sluice.yaml"));
  EXPECT_EQ(result.errors, Lines{});
}

TEST(Shipped, TheManualHasARowForEachKey) {
  const std::string manual = text_of_file("docs/configuration.md");
  for (const ConfigKey& key : config_keys()) {
    const std::size_t row = manual.find("| `" + std::string(key.path) + "` |");
    ASSERT_NE(row, std::string::npos) << key.path;
    const std::string line = manual.substr(row, manual.find('\n', row) - row);
    for (const std::string& flag : words_of_line(key.flags)) {
      EXPECT_NE(line.find("`" + flag + "`"), std::string::npos) << key.path << " " << flag;
    }
    const bool is_built = !is_refused_whole(key.path) && !refusal_of_change(key.path);
    EXPECT_EQ(line.ends_with("| yes |") || line.ends_with("| in part |"), is_built) << line;
    if (key.write != nullptr) {
      std::string value = key.write(Config());
      EXPECT_NE(line.find("| `" + value + "` |"), std::string::npos) << key.path << " has the default " << value;
    }
  }
}

}  // namespace
