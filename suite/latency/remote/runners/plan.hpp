// The plan that a runner follows, and how a runner says anything: one JSON object.
//
// Words of the plan and keys of the answer are described in suite/latency/remote/plan.py.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace measuring {

using Shape = std::vector<int64_t>;

constexpr int kPlanVersion = 2;

inline std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char letter : text) {
    const unsigned char byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      result += '\\';
      result += letter;
    } else if (byte < 0x20 || byte > 0x7e) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      result += escaped;
    } else {
      result += letter;
    }
  }
  return result + "\"";
}

template <typename Items, typename Shown>
std::string listed(const Items& items, Shown shown) {
  std::string result = "[";
  for (const auto& item : items) result += (result.size() > 1 ? "," : "") + shown(item);
  return result + "]";
}

[[noreturn]] inline void fail(const std::string& message) {
  std::printf("{\"kind\":\"error\",\"message\":%s}\n", quoted(message).c_str());
  std::fflush(stdout);
  std::_Exit(3);
}

struct Input {
  std::string name;
  Shape shape;
  std::string reference_file;  // raw little-endian float32: the input whose outputs are compared
};

struct Output {
  std::string name;
  std::string file;  // where to write its raw float32 values
};

struct Candidate {
  std::vector<std::string> files;
  std::vector<Input> inputs;
  std::vector<Output> outputs;
  std::string precision = "fp32";
};

struct Plan {
  int core = -1, niceness = 0;
  uint64_t seed = 0;
  size_t pool = 0;
  int warm_up_groups = 0, min_rounds = 0;
  double min_duration_s = 0, max_duration_s = 0;
  std::vector<Candidate> candidates;
  std::map<std::string, std::string> sensors;
};

inline Plan read_plan(const std::string& path) {
  Plan plan;
  std::ifstream stream(path);
  if (!stream) fail(path + ": cannot be read");
  std::string line;
  int number = 0;
  bool ended = false;
  while (std::getline(stream, line)) {
    ++number;
    std::istringstream words(line);
    std::string word;
    words >> word;
    const auto place = [&]() { return path + " line " + std::to_string(number) + ": "; };
    const auto chosen = [&]() -> Candidate& {
      if (plan.candidates.empty()) fail(place() + word + " before any candidate");
      return plan.candidates.back();
    };
    bool good = true;
    if (number == 1) {
      int version = 0;
      good = word == "plan" && words >> version && version == kPlanVersion;
    } else if (word == "core") {
      good = static_cast<bool>(words >> plan.core);
    } else if (word == "niceness") {
      good = static_cast<bool>(words >> plan.niceness);
    } else if (word == "seed") {
      good = static_cast<bool>(words >> plan.seed);
    } else if (word == "pool") {
      good = words >> plan.pool && plan.pool > 0;
    } else if (word == "min_rounds") {
      good = words >> plan.min_rounds && plan.min_rounds > 0;
    } else if (word == "min_duration_s") {
      good = static_cast<bool>(words >> plan.min_duration_s);
    } else if (word == "max_duration_s") {
      good = static_cast<bool>(words >> plan.max_duration_s);
    } else if (word == "candidate") {
      plan.candidates.emplace_back();
      for (std::string file; words >> file;) plan.candidates.back().files.push_back(file);
      good = !plan.candidates.back().files.empty();
    } else if (word == "input") {
      Input input;
      words >> input.name >> input.reference_file;
      for (int64_t side; words >> side;) input.shape.push_back(side);
      good = !input.shape.empty() && words.eof();
      chosen().inputs.push_back(input);
    } else if (word == "output") {
      Output output;
      good = static_cast<bool>(words >> output.name >> output.file);
      chosen().outputs.push_back(output);
    } else if (word == "precision") {
      good = words >> chosen().precision && (chosen().precision == "fp32" || chosen().precision == "fp16");
    } else if (word == "sensor") {
      std::string name, file;
      good = static_cast<bool>(words >> name >> file);
      plan.sensors[name] = file;
    } else if (word == "warm_up_groups") {
      good = words >> plan.warm_up_groups && plan.warm_up_groups > 0;
    } else if (word == "end") {
      ended = true;
      break;
    } else {
      good = false;
    }
    if (!good) fail(place() + "not understood: " + line);
  }
  if (!ended) fail(path + ": ends in mid-plan");
  if (plan.core < 0 || !plan.pool || plan.candidates.empty() || !plan.min_rounds || !plan.warm_up_groups)
    fail(path + ": is incomplete");
  return plan;
}

}  // namespace measuring
