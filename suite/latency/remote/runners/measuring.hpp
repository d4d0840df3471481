// What every runner shares: it reads a plan, pins itself, times the candidates in rounds, prints every sample.
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

#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <set>
#include <utility>

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

// What an engine is and how it was set: printed with the samples, checked by the reader.
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

struct Reading {
  int64_t wall_ns, cpu_ns, thread_ns;
};

// A loaded candidate with its pool of inputs, and what was read of it.
struct Subject {
  const Candidate* plan;
  std::unique_ptr<Engine> engine;
  std::vector<std::vector<Values>> pool;  // by member, by input
  std::vector<Values> current;
  std::vector<Reading> samples;                          // two a round
  std::vector<std::pair<int64_t, int64_t>> repeat_pairs;  // CPU time of a fresh input, and of the same again
  std::vector<Shape> shapes;                             // of the outputs
};

// Puts input number `index` in place: a copy of a member of the pool that differs from every other in one element.
inline void freshen(Subject& subject, int64_t index) {
  subject.current = subject.pool[static_cast<size_t>(index) % subject.pool.size()];
  Values& values = subject.current.front();
  const size_t count = values.size(), number = static_cast<size_t>(index);
  values[number % count] += 1e-3f * static_cast<float>(1 + number / count);
}

// What is read back besides the samples: cores that a call began or ended on, core lists, frequencies, temperatures.
struct Watched {
  std::set<int> cores;
  std::set<std::string> lists;
  int threads = 0;
  std::vector<std::string> khz;     // after every sample
  std::vector<std::string> states;  // after every round
};

inline Reading time_run(Subject& subject, Watched& watched) {
  Reading reading;
  const int before = sched_getcpu();
  const int64_t wall = clock_ns(CLOCK_MONOTONIC_RAW);
  const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t thread = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  subject.engine->run(subject.current);
  reading.thread_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread;
  reading.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  reading.wall_ns = clock_ns(CLOCK_MONOTONIC_RAW) - wall;
  watched.cores.insert({before, sched_getcpu()});
  return reading;
}

// CPU time of a chain of dependent integer operations: the core's clock, whatever sysfs says of it.
inline int64_t spin_ns() {
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
  return spent;
}

inline void watch(Watched& watched, double elapsed_s, const Plan& plan) {
  const std::set<std::string> lists = affinities(&watched.threads);
  watched.lists.insert(lists.begin(), lists.end());
  std::string sensors;
  for (const auto& sensor : plan.sensors)
    sensors += (sensors.empty() ? "" : ",") + quoted(sensor.first) + ":" + number_in(sensor.second);
  watched.states.push_back("[" + std::to_string(elapsed_s) + ",{" + sensors + "}]");
}

inline void write_outputs(Subject& subject) {
  subject.current.clear();
  for (const Input& input : subject.plan->inputs)
    subject.current.push_back(read_values(input.reference_file, elements(input.shape)));
  subject.engine->run(subject.current);
  const std::vector<Tensor> tensors = subject.engine->outputs();
  if (tensors.size() != subject.plan->outputs.size()) fail("the engine gives another number of outputs than planned");
  for (size_t place = 0; place < tensors.size(); ++place) {
    const std::string& file = subject.plan->outputs[place].file;
    const Values& values = tensors[place].values;
    std::ofstream stream(file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(values.data()),
                 static_cast<std::streamsize>(values.size() * sizeof(float)));
    stream.close();
    if (!stream) fail(file + ": cannot be written: " + std::strerror(errno));
    subject.shapes.push_back(tensors[place].shape);
  }
}

template <typename Number>
std::string number(Number value) {
  return std::to_string(value);
}

inline std::string told(const Subject& subject) {
  const auto clocks = [](const Reading& reading) {
    return "[" + number(reading.wall_ns) + "," + number(reading.cpu_ns) + "," + number(reading.thread_ns) + "]";
  };
  std::vector<std::string> rounds;
  for (size_t place = 0; place + 1 < subject.samples.size(); place += 2)
    rounds.push_back("[" + clocks(subject.samples[place]) + "," + clocks(subject.samples[place + 1]) + "]");
  const auto same = [](const std::string& text) { return text; };
  const auto pair = [](const std::pair<int64_t, int64_t>& item) {
    return "[" + number(item.first) + "," + number(item.second) + "]";
  };
  const auto shape = [](const Shape& sides) { return listed(sides, number<int64_t>); };
  return "{\"rounds\":" + listed(rounds, same) + ",\"repeat_pairs\":" + listed(subject.repeat_pairs, pair) +
         ",\"shapes\":" + listed(subject.shapes, shape) + "}";
}

// Follows a plan from pinning to the answer, which is printed at the end, so that no half of one can be taken for whole.
//
// load: loads one candidate; everything it sets has to be in `library` once all are loaded.
inline int run_plan(int count, char** words, Library& library,
                    const std::function<std::unique_ptr<Engine>(const Candidate&, Library&)>& load) {
  if (count != 2) fail("usage: runner PLAN");
  const Plan plan = read_plan(words[1]);
  // Threads that a library starts inherit the core, so it is set before any library is called.
  pin_to(plan.core);
  if (setpriority(PRIO_PROCESS, 0, plan.niceness) != 0) errno = 0;  // what was got is in the answer
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(plan.core) + "/cpufreq";

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
  const int64_t spin_before = spin_ns();
  Watched watched;
  int64_t made = 0;
  for (int group = 0; group < plan.warm_up_groups; ++group) {
    for (Subject& subject : subjects) {
      // The first run brings code and buffers back into the caches, so that the next two differ in novelty alone.
      freshen(subject, made++);
      time_run(subject, watched);
      freshen(subject, made++);
      const int64_t fresh = time_run(subject, watched).cpu_ns;
      subject.repeat_pairs.push_back({fresh, time_run(subject, watched).cpu_ns});
    }
  }
  std::vector<size_t> order;  // of one round: forwards, then backwards
  for (size_t place = 0; place < subjects.size(); ++place) order.push_back(place);
  for (size_t place = subjects.size(); place > 0; --place) order.push_back(place - 1);
  const int64_t started = clock_ns(CLOCK_MONOTONIC_RAW);
  int rounds = 0;
  double elapsed_s = 0;
  do {
    for (const size_t place : order) {
      freshen(subjects[place], made++);
      subjects[place].samples.push_back(time_run(subjects[place], watched));
      watched.khz.push_back(number_in(folder + "/scaling_cur_freq"));
    }
    elapsed_s = static_cast<double>(clock_ns(CLOCK_MONOTONIC_RAW) - started) * 1e-9;
    watch(watched, elapsed_s, plan);
    ++rounds;
  } while ((rounds < plan.min_rounds || elapsed_s < plan.min_duration_s) && elapsed_s < plan.max_duration_s);
  const int64_t spin_after = spin_ns();
  for (Subject& subject : subjects) write_outputs(subject);

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
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto same = [](const std::string& text) { return text; };
  const std::string answer =
      "{\"kind\":\"answer\",\"version\":" + number(kPlanVersion) + ",\"runner\":" + quoted(library.runner) + ",\"library\":" +
      quoted(library.version) + ",\"platform\":\"" + platform + "\",\"machine\":" + quoted(system.machine) +
      ",\"flags\":{" + flags + "},\"core\":" + number(plan.core) + ",\"niceness\":" +
      number(getpriority(PRIO_PROCESS, 0)) + ",\"built_khz\":" + number_in(folder + "/cpuinfo_max_freq") +
      ",\"permitted_khz\":" + number_in(folder + "/scaling_max_freq") + ",\"spin_ns\":[" + number(spin_before) + "," +
      number(spin_after) + "],\"elapsed_s\":" + number(elapsed_s) + ",\"order\":" + listed(order, number<size_t>) +
      ",\"affinities\":" + listed(watched.lists, quoted) + ",\"cores\":" + listed(watched.cores, number<int>) +
      ",\"threads\":" + number(watched.threads) + ",\"peak_memory_kib\":" + number(usage.ru_maxrss) + ",\"khz\":" +
      listed(watched.khz, same) + ",\"states\":" + listed(watched.states, same) + ",\"candidates\":" +
      listed(subjects, told) + "}\n";
  if (std::fputs(answer.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "the answer cannot be written: %s\n", std::strerror(errno));
    return 4;
  }
  return 0;
}

}  // namespace measuring
