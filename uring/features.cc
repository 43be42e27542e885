#include "uring/features.h"

#include <liburing.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "uring/abi.h"

namespace uring {
namespace {

constexpr unsigned kProbeEntries = 8;

/// io_uring_setup with these flags works.
int try_setup(std::uint32_t flags) {
  io_uring_params params{};
  params.flags = flags;
  // The plain system call: liburing would touch a ring whose layout it does not know (NO_SQARRAY).
  const long fd = syscall(__NR_io_uring_setup, kProbeEntries, &params);
  if (fd < 0) return errno;
  ::close(static_cast<int>(fd));
  return 0;
}

bool try_buffer_ring(io_uring& ring, std::uint16_t flags) {
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  registration.ring_entries = kProbeEntries;
  registration.bgid = 1;
  registration.pad = flags;
  const bool works = io_uring_register_buf_ring(&ring, &registration, 0) == 0;
  if (works) static_cast<void>(io_uring_unregister_buf_ring(&ring, registration.bgid));
  munmap(memory, 4096);
  return works;
}

/// What the first completion of a multishot receive says when two bytes wait; `limit`: 0, or so many at most.
struct FirstReceive {
  int result = 0;
  bool goes_on = false;
};

FirstReceive try_multishot_receive(io_uring& ring, std::uint32_t limit) {
  constexpr std::uint16_t kGroup = 2;
  char bytes[2] = {};
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return {.result = -errno};
  FirstReceive first;
  if (::write(sockets[1], bytes, sizeof(bytes)) != sizeof(bytes)) first.result = -EIO;
  ::close(sockets[1]);
  io_uring_sqe* buffer = io_uring_get_sqe(&ring);
  io_uring_prep_provide_buffers(buffer, bytes, sizeof(bytes), 1, kGroup, 0);
  buffer->user_data = 0;
  io_uring_sqe* receive = io_uring_get_sqe(&ring);
  io_uring_prep_recv_multishot(receive, sockets[0], nullptr, 0, 0);
  receive->flags |= IOSQE_BUFFER_SELECT;
  receive->buf_group = kGroup;
  receive->user_data = 1;
  if (limit != 0) abi::limit_receive(receive, limit);
  // The one buffer is used up, or the other side has closed: it ends either way.
  io_uring_submit(&ring);
  for (bool ended = false, heard = false; !ended;) {
    io_uring_cqe* cqe = nullptr;
    if (io_uring_wait_cqe(&ring, &cqe) != 0) break;
    if (cqe->user_data == 1) {
      ended = (cqe->flags & IORING_CQE_F_MORE) == 0;
      if (!std::exchange(heard, true) && first.result == 0) first = {.result = cqe->res, .goes_on = !ended};
    }
    io_uring_cqe_seen(&ring, cqe);
  }
  ::close(sockets[0]);
  return first;
}

/// Asks to end what is not there: the kernel looks for it, or does not know how.
bool try_cancel_by_opcode(io_uring& ring) {
  io_uring_sqe* cancel = io_uring_get_sqe(&ring);
  abi::prepare_cancel(cancel, STDIN_FILENO, IORING_OP_RECV);
  io_uring_cqe* cqe = nullptr;
  if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) != 0) return false;
  const bool works = cqe->res == -ENOENT;
  io_uring_cqe_seen(&ring, cqe);
  return works;
}

/// Before 6.12.29, 6.14.7 and 6.15 the completions of several receives into one incremental buffer could be told in
/// another order than that of their bytes, and the order is all that says whose bytes are where. No call tells.
bool tells_receives_in_order() {
  utsname name{};
  int major = 0;
  int minor = 0;
  int patch = 0;
  uname(&name);
  if (std::sscanf(name.release, "%d.%d.%d", &major, &minor, &patch) < 2) return false;
  if (major != 6) return major > 6;
  return minor >= 15 || (minor == 14 && patch >= 7) || (minor == 12 && patch >= 29);
}

std::string sysctl_io_uring_disabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  std::string value;
  std::getline(file, value);
  return value;
}

std::string memlock_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur) + " bytes";
}

struct Row {
  bool Features::*flag;
  const char* name;
  const char* since;
  const char* use;
  bool required;
};

constexpr Row kRows[] = {
    {&Features::defer_taskrun, "DEFER_TASKRUN, SINGLE_ISSUER", "6.1", "completions are delivered once per turn", true},
    {&Features::multishot_receive, "multishot receive and accept", "6.0", "one request serves a whole connection",
     true},
    {&Features::provided_buffer_ring, "provided buffer ring", "5.19", "idle connections hold no buffer", true},
    {&Features::message_ring, "MSG_RING", "5.18", "workers hand over connections without locks", true},
    {&Features::registered_ring_fd, "registered ring descriptor", "5.18", "cheaper system calls", false},
    {&Features::send_zero_copy, "SEND_ZC", "6.0", "not used: a copy is cheaper below large values", false},
    {&Features::cancel_by_opcode, "cancel by descriptor and opcode", "6.6",
     "not used: the kernel finds an operation by its name sooner", false},
    {&Features::no_sq_array, "NO_SQARRAY", "6.6", "not used: needs liburing 2.5", false},
    {&Features::receive_bundles, "receive bundles", "6.10", "not used: large incremental buffers make them needless",
     false},
    {&Features::incremental_buffers, "incremental buffers", "6.12.29", "few large receive buffers, always warm", false},
    {&Features::min_wait, "minimum wait", "6.12", "not used: a bounded wait gathers completions on every kernel",
     false},
    {&Features::limited_receive, "limited multishot receive", "6.17", "no connection fills a turn", false},
};

}  // namespace

Probe probe_features() {
  Probe probe;
  io_uring ring{};
  if (const int result = io_uring_queue_init(kProbeEntries, &ring, 0); result < 0) {
    probe.error = -result;
    return probe;
  }
  Features& features = probe.features;
  features.defer_taskrun = try_setup(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) == 0;
  features.no_sq_array = try_setup(abi::kSetupNoSqArray) == 0;
  features.receive_bundles = (ring.features & abi::kFeatureRecvSendBundle) != 0;
  features.min_wait = (ring.features & abi::kFeatureMinTimeout) != 0;
  features.provided_buffer_ring = try_buffer_ring(ring, 0);
  features.incremental_buffers = try_buffer_ring(ring, abi::kBufferRingIncremental) && tells_receives_in_order();
  features.multishot_receive = try_multishot_receive(ring, 0).result == 2;
  const FirstReceive limited = try_multishot_receive(ring, 1);
  features.limited_receive = limited.result == 1 && !limited.goes_on;
  features.cancel_by_opcode = try_cancel_by_opcode(ring);
  features.registered_ring_fd = io_uring_register_ring_fd(&ring) == 1;
  if (io_uring_probe* opcodes = io_uring_get_probe_ring(&ring)) {
    features.message_ring = io_uring_opcode_supported(opcodes, IORING_OP_MSG_RING) != 0;
    features.send_zero_copy = io_uring_opcode_supported(opcodes, IORING_OP_SEND_ZC) != 0;
    io_uring_free_probe(opcodes);
  }
  io_uring_queue_exit(&ring);
  return probe;
}

std::string describe(const Features& features) {
  std::string text;
  for (const Row& row : kRows) {
    std::string line = features.*row.flag ? "yes  " : "no   ";
    line.append(row.name).resize(40, ' ');
    line.append(row.since).resize(47, ' ');
    text.append(line).append(row.use).append(row.required ? " (required)\n" : "\n");
  }
  return text;
}

std::string explain_error(int error, const std::string& what) {
  const std::string cause = what + ": " + std::strerror(error);
  switch (error) {
    case ENOSYS:
      return cause +
             ". This kernel has no io_uring, or a seccomp filter hides it. Run Linux 6.1 or newer; in a "
             "container allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile.";
    case EPERM:
    case EACCES: {
      const std::string disabled = sysctl_io_uring_disabled();
      if (!disabled.empty() && disabled != "0") {
        return cause + ". The sysctl kernel.io_uring_disabled is " + disabled +
               ". Set it to 0 (sysctl -w kernel.io_uring_disabled=0), or with 1 add the user's group to "
               "kernel.io_uring_group.";
      }
      return cause +
             ". A seccomp filter or security module blocks io_uring (container runtimes do by default). Allow "
             "io_uring_setup, io_uring_enter and io_uring_register in its profile.";
    }
    case ENOMEM:
      return cause + ". RLIMIT_MEMLOCK (now " + memlock_limit() +
             ") is too small for the rings. Raise it: LimitMEMLOCK=infinity in the systemd unit, --ulimit memlock=-1 "
             "for a container, or ulimit -l unlimited.";
    case EMFILE:
    case ENFILE:
      return cause +
             ". No file descriptors are left. Raise RLIMIT_NOFILE (LimitNOFILE= in the systemd unit, ulimit -n).";
    default:
      return cause + ".";
  }
}

std::vector<std::string> explain_missing(const Probe& probe) {
  if (probe.error != 0) return {explain_error(probe.error, "io_uring cannot be used")};
  std::vector<std::string> lines;
  if (probe.features.enough()) return lines;
  utsname name{};
  uname(&name);
  for (const Row& row : kRows) {
    if (!row.required || probe.features.*row.flag) continue;
    lines.push_back(std::string("io_uring lacks ") + row.name + " (Linux " + row.since + "); this kernel is " +
                    name.release + ". Run Linux 6.1 or newer.");
  }
  return lines;
}

}  // namespace uring
