// What every runner shares: it reads a plan, pins itself, times the candidates in the plan's order, prints every sample.
//
// A runner is one source file that defines an Engine and calls run_plan. No engine's library appears here, and nothing
// throws: ncnn's Android packages are built without exceptions and pass that on to what links them.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <set>

#include "plan.hpp"

namespace measuring {

using Values = std::vector<float>;

constexpr int64_t kSpinSteps = 20000000;

struct Tensor {
  Shape shape;
  Values values;
};

// One loaded candidate. run() computes every output; outputs() copies those of the last run.
class Engine {
 public:
  virtual ~Engine() {}
  virtual void run(const std::vector<Values>& inputs) = 0;
  virtual std::vector<Tensor> outputs() = 0;
};

// What an engine is and how it was set: printed in the header, checked by the reader.
struct Library {
  std::string runner;
  std::string version;
  std::map<std::string, std::string> flags;
};

// ---- clocks, core, frequency, sensors ---------------------------------------------------------------------------------

inline int64_t clock_ns(clockid_t clock) {
  timespec now;
  if (clock_gettime(clock, &now) != 0) fail("a clock cannot be read");
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

inline std::string first_line(const std::string& path) {
  char text[256];
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return "";
  text[length] = 0;
  return std::string(text, std::strcspn(text, "\n"));
}

// A number a file holds, as JSON: null where the system denies it.
inline std::string number_in(const std::string& path) {
  const std::string text = first_line(path);
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  return text.empty() || *end != 0 ? "null" : std::to_string(value);
}

// Distinct core lists that the threads of this process may run on.
inline std::set<std::string> affinities(int* threads) {
  std::set<std::string> found;
  *threads = 0;
  DIR* folder = opendir("/proc/self/task");
  if (!folder) return found;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    ++*threads;
    std::ifstream status(std::string("/proc/self/task/") + entry->d_name + "/status");
    std::string line;
    while (std::getline(status, line)) {
      if (line.compare(0, 18, "Cpus_allowed_list:") == 0) found.insert(line.substr(line.find_first_not_of(" \t", 18)));
    }
  }
  closedir(folder);
  return found;
}

inline void pin_to(int core) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  CPU_SET(core, &wanted);
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0)
    fail("cannot be pinned to core " + std::to_string(core) + ": " + std::strerror(errno));
}

// ---- inputs -----------------------------------------------------------------------------------------------------------

inline size_t elements(const Shape& shape) {
  size_t count = 1;
  for (const int64_t side : shape) count *= static_cast<size_t>(side);
  return count;
}

// Standard normal values from a seed (splitmix64, then Box and Muller's transform).
inline Values random_values(size_t count, uint64_t seed) {
  uint64_t state = seed;
  const auto uniform = [&state]() {
    uint64_t mixed = (state += 0x9e3779b97f4a7c15ULL);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<double>((mixed ^ (mixed >> 31)) >> 11) * 0x1.0p-53;
  };
  Values values(count);
  for (float& value : values)
    value = static_cast<float>(std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(6.283185307179586 * uniform()));
  return values;
}

inline Values read_values(const std::string& path, size_t count) {
  Values values(count);
  std::ifstream stream(path, std::ios::binary);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(float)));
  if (!stream || stream.peek() != std::ifstream::traits_type::eof())
    fail(path + ": does not hold " + std::to_string(count) + " values");
  return values;
}

// ---- timing -----------------------------------------------------------------------------------------------------------

// A loaded candidate with its pool of inputs.
struct Subject {
  const Candidate* plan;
  std::unique_ptr<Engine> engine;
  std::vector<std::vector<Values>> pool;  // by member, by input
  std::vector<Values> current;
};

// Puts input number `index` in place: a copy of a member of the pool that differs from every other in one element.
inline void freshen(Subject& subject, int64_t index) {
  subject.current = subject.pool[static_cast<size_t>(index) % subject.pool.size()];
  Values& values = subject.current.front();
  const size_t count = values.size(), number = static_cast<size_t>(index);
  values[number % count] += 1e-3f * static_cast<float>(1 + number / count);
}

struct Reading {
  int64_t wall_ns, cpu_ns, thread_ns;
  int core_before, core_after;
};

inline Reading time_run(Subject& subject) {
  Reading reading;
  reading.core_before = sched_getcpu();
  const int64_t wall = clock_ns(CLOCK_MONOTONIC_RAW);
  const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t thread = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  subject.engine->run(subject.current);
  reading.thread_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread;
  reading.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  reading.wall_ns = clock_ns(CLOCK_MONOTONIC_RAW) - wall;
  reading.core_after = sched_getcpu();
  return reading;
}

inline void print_reading(const std::string& opening, const Reading& reading, const std::string& frequency_file) {
  print_line("{%s,\"wall_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64 ",\"thread_ns\":%" PRId64
             ",\"core_before\":%d,\"core_after\":%d,\"khz\":%s}",
             opening.c_str(), reading.wall_ns, reading.cpu_ns, reading.thread_ns, reading.core_before,
             reading.core_after, number_in(frequency_file).c_str());
}

// A chain of dependent integer operations: its time is the core's clock, whatever sysfs says of it.
inline void print_spin(const char* when) {
  volatile uint64_t sink;
  uint64_t value = 88172645463325252ULL;
  const int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  for (int64_t step = 0; step < kSpinSteps; ++step) {
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
  }
  const int64_t spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
  sink = value;
  (void)sink;
  print_line("{\"kind\":\"spin\",\"when\":\"%s\",\"steps\":%" PRId64 ",\"cpu_ns\":%" PRId64 "}", when, kSpinSteps,
             spent);
}

inline void print_state(int round, double elapsed_s, const Plan& plan) {
  int threads = 0;
  const std::set<std::string> lists = affinities(&threads);
  std::string sensors;
  for (const auto& sensor : plan.sensors)
    sensors += (sensors.empty() ? "" : ",") + quoted(sensor.first) + ":" + number_in(sensor.second);
  print_line("{\"kind\":\"round\",\"round\":%d,\"elapsed_s\":%.6f,\"affinities\":%s,\"threads\":%d,\"sensors\":{%s}}",
             round, elapsed_s, listed(lists, quoted).c_str(), threads, sensors.c_str());
}

inline void print_outputs(size_t number, Subject& subject) {
  subject.current.clear();
  for (const Input& input : subject.plan->inputs)
    subject.current.push_back(read_values(input.reference_file, elements(input.shape)));
  subject.engine->run(subject.current);
  const std::vector<Tensor> tensors = subject.engine->outputs();
  if (tensors.size() != subject.plan->outputs.size()) fail("the engine gives another number of outputs than planned");
  for (size_t place = 0; place < tensors.size(); ++place) {
    const Output& output = subject.plan->outputs[place];
    const Values& values = tensors[place].values;
    std::ofstream stream(output.file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(values.data()),
                 static_cast<std::streamsize>(values.size() * sizeof(float)));
    stream.close();
    if (!stream) fail(output.file + ": cannot be written: " + std::strerror(errno));
    const Values first(values.begin(), values.begin() + static_cast<int64_t>(std::min<size_t>(values.size(), 4)));
    const auto shown = [](float value) {
      char text[32];
      std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
      return std::isfinite(value) ? std::string(text) : std::string("null");
    };
    print_line("{\"kind\":\"output\",\"candidate\":%zu,\"name\":%s,\"file\":%s,\"shape\":%s,\"first\":%s}", number,
               quoted(output.name).c_str(), quoted(output.file).c_str(),
               listed(tensors[place].shape, [](int64_t side) { return std::to_string(side); }).c_str(),
               listed(first, shown).c_str());
  }
}

inline void print_header(const Plan& plan, const Library& library, const std::string& core_folder) {
  utsname system;
  if (uname(&system) != 0) fail("uname cannot be read");
#ifdef __ANDROID__
  const char* platform = "android";
#else
  const char* platform = "linux";
#endif
  std::string flags;
  for (const auto& flag : library.flags)
    flags += (flags.empty() ? "" : ",") + quoted(flag.first) + ":" + quoted(flag.second);
  print_line("{\"kind\":\"header\",\"version\":%d,\"runner\":%s,\"library\":%s,\"platform\":\"%s\",\"machine\":%s,"
             "\"core\":%d,\"niceness\":%d,\"built_khz\":%s,\"permitted_khz\":%s,\"flags\":{%s}}",
             kPlanVersion, quoted(library.runner).c_str(), quoted(library.version).c_str(), platform,
             quoted(system.machine).c_str(), plan.core, getpriority(PRIO_PROCESS, 0),
             number_in(core_folder + "/cpufreq/cpuinfo_max_freq").c_str(),
             number_in(core_folder + "/cpufreq/scaling_max_freq").c_str(), flags.c_str());
}

// Follows a plan from pinning to the closing line.
//
// load: loads one candidate; everything it sets has to be in `library` once all are loaded.
inline int run_plan(int count, char** words, Library& library,
                    const std::function<std::unique_ptr<Engine>(const Candidate&, Library&)>& load) {
  static char buffer[1 << 20];
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (count != 2) fail("usage: runner PLAN");
  const Plan plan = read_plan(words[1]);
  // Threads that a library starts inherit the core, so it is set before any library is called.
  pin_to(plan.core);
  if (setpriority(PRIO_PROCESS, 0, plan.niceness) != 0) errno = 0;  // what was got is in the header
  const std::string core_folder = "/sys/devices/system/cpu/cpu" + std::to_string(plan.core);
  const std::string frequency_file = core_folder + "/cpufreq/scaling_cur_freq";

  std::vector<Subject> subjects;
  for (const Candidate& candidate : plan.candidates) {
    Subject subject;
    subject.plan = &candidate;
    subject.engine = load(candidate, library);
    for (size_t member = 0; member < plan.pool; ++member) {
      std::vector<Values> inputs;
      for (const Input& input : candidate.inputs)
        inputs.push_back(random_values(elements(input.shape), plan.seed + 1000 * member + inputs.size()));
      subject.pool.push_back(inputs);
    }
    subjects.push_back(std::move(subject));
  }
  print_header(plan, library, core_folder);
  print_spin("before");

  int64_t made = 0;
  for (const Warm& warm : plan.warm_up) {
    Subject& subject = subjects[warm.candidate];
    if (!warm.repeat) freshen(subject, made++);
    const Reading reading = time_run(subject);
    print_reading("\"kind\":\"warm_up\",\"candidate\":" + std::to_string(warm.candidate) +
                      ",\"repeat\":" + (warm.repeat ? "true" : "false"),
                  reading, frequency_file);
  }
  std::fflush(stdout);

  const int64_t started = clock_ns(CLOCK_MONOTONIC_RAW);
  int rounds = 0;
  int64_t samples = 0;
  double elapsed_s = 0;
  do {
    for (const size_t candidate : plan.round) {
      freshen(subjects[candidate], made++);
      const Reading reading = time_run(subjects[candidate]);
      print_reading("\"kind\":\"sample\",\"round\":" + std::to_string(rounds) +
                        ",\"candidate\":" + std::to_string(candidate),
                    reading, frequency_file);
      ++samples;
    }
    elapsed_s = static_cast<double>(clock_ns(CLOCK_MONOTONIC_RAW) - started) * 1e-9;
    print_state(rounds++, elapsed_s, plan);
    std::fflush(stdout);
  } while ((rounds < plan.min_rounds || elapsed_s < plan.min_duration_s) && elapsed_s < plan.max_duration_s);

  print_spin("after");
  for (size_t number = 0; number < subjects.size(); ++number) print_outputs(number, subjects[number]);
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  print_line("{\"kind\":\"end\",\"samples\":%" PRId64 ",\"rounds\":%d,\"peak_memory_kib\":%ld,\"lines\":%d}", samples,
             rounds, usage.ru_maxrss, lines_printed() + 1);
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    std::fprintf(stderr, "the answer cannot be written: %s\n", std::strerror(errno));
    return 4;
  }
  return 0;
}

}  // namespace measuring
