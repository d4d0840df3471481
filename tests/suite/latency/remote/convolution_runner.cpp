// A runner on an engine of a few lines: the one convolution of the tests' graph, so that everything the real runners
// share is compiled and run without their libraries. A third file names one rule to break.
#include "measuring.hpp"

#include <csignal>
#include <thread>

namespace {

using measuring::Values;

class ConvolutionEngine : public measuring::Engine {
 public:
  explicit ConvolutionEngine(const measuring::Candidate& candidate) : shape_(candidate.inputs.at(0).shape) {
    std::ifstream behaviour(candidate.files.at(2));
    behaviour >> behaviour_;
    std::ifstream stream(candidate.files.at(1), std::ios::binary | std::ios::ate);
    weights_ = measuring::read_values(candidate.files[1], static_cast<size_t>(stream.tellg()) / sizeof(float));
    if (behaviour_ == "dies") raise(SIGKILL);
    if (behaviour_ == "hangs") sleep(600);
    if (behaviour_ == "refuses") measuring::fail("convolution: this graph is not for me");
  }

  void run(const std::vector<Values>& inputs) override {
    if (behaviour_ == "remembers" && inputs[0] == last_) return;
    last_ = inputs[0];
    if (behaviour_ == "wanders") {
      cpu_set_t all;
      CPU_ZERO(&all);
      for (int core = 0; core < 8; ++core) CPU_SET(core, &all);
      sched_setaffinity(0, sizeof all, &all);
    }
    if (behaviour_ == "helped") {
      std::thread helper([&]() { result_ = convolved(inputs[0]); });
      helper.join();
    } else {
      result_ = convolved(inputs[0]);
    }
  }

  std::vector<measuring::Tensor> outputs() override {
    const auto channels = static_cast<int64_t>(weights_.size() / 27);
    return {{{1, channels, shape_[2], shape_[3]}, result_}};
  }

 private:
  Values convolved(const Values& image) const {
    const int64_t height = shape_[2], width = shape_[3], channels = static_cast<int64_t>(weights_.size() / 27);
    Values result(static_cast<size_t>(channels * height * width));
    for (int64_t out = 0; out < channels; ++out)
      for (int64_t row = 0; row < height; ++row)
        for (int64_t column = 0; column < width; ++column) {
          float sum = 0;
          for (int64_t in = 0; in < 3; ++in)
            for (int64_t down = 0; down < 3; ++down)
              for (int64_t right = 0; right < 3; ++right) {
                const int64_t y = row + down - 1, x = column + right - 1;
                if (y >= 0 && y < height && x >= 0 && x < width)
                  sum += image[static_cast<size_t>((in * height + y) * width + x)] *
                         weights_[static_cast<size_t>(((out * 3 + in) * 3 + down) * 3 + right)];
              }
          result[static_cast<size_t>((out * height + row) * width + column)] = sum;
        }
    return result;
  }

  measuring::Shape shape_;
  std::string behaviour_;
  Values weights_, result_, last_;
};

}  // namespace

int main(int count, char** words) {
  measuring::Library library;
  library.runner = "convolution";
  library.version = "1";
  return measuring::run_plan(count, words, library,
                             [](const measuring::Candidate& candidate, measuring::Library& settings) {
                               std::ifstream behaviour(candidate.files.at(2));
                               std::string word;
                               behaviour >> word;
                               settings.flags["half"] = word == "halved" ? "on" : "off";
                               return std::unique_ptr<measuring::Engine>(new ConvolutionEngine(candidate));
                             });
}
