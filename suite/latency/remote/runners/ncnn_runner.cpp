// Times ncnn graphs on one thread of one core, in fp32 or, where the plan says so, in fp16; every sample printed.
//
// Unlike ncnn's own benchncnn it loads real weights, switches half precision off unless asked for, and never sets the affinity of its
// threads, which would undo the pinning.
#include <cpu.h>
#include <net.h>

#include "measuring.hpp"

namespace {

const char* shown(bool value) { return value ? "on" : "off"; }

bool has_fp16_instructions() {
#ifdef __aarch64__
  return ncnn::cpu_support_arm_asimdhp() != 0;
#else
  return false;
#endif
}

class NcnnEngine : public measuring::Engine {
 public:
  NcnnEngine(const measuring::Candidate& candidate, measuring::Library& library) : plan_(candidate) {
    if (candidate.files.size() != 2) measuring::fail("ncnn: a candidate needs a .param and a .bin file");
    ncnn::Option& option = net_.opt;
    option.num_threads = 1;
    option.use_vulkan_compute = false;
    const bool half = candidate.precision == "fp16";
    option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = half;
    option.use_bf16_storage = false;
    option.use_int8_inference = option.use_int8_packed = option.use_int8_storage = option.use_int8_arithmetic = false;
    if (net_.load_param(candidate.files[0].c_str()) != 0)
      measuring::fail("ncnn: cannot load " + candidate.files[0]);
    if (net_.load_model(candidate.files[1].c_str()) != 0)
      measuring::fail("ncnn: cannot load " + candidate.files[1]);
    // Read back from the network, not from what was asked for.
    library.flags["threads"] = std::to_string(net_.opt.num_threads);
    library.flags["vulkan"] = shown(net_.opt.use_vulkan_compute);
    library.flags["fp16_packed"] = shown(net_.opt.use_fp16_packed);
    library.flags["fp16_storage"] = shown(net_.opt.use_fp16_storage);
    library.flags["fp16_arithmetic"] = shown(net_.opt.use_fp16_arithmetic);
    library.flags["bf16_storage"] = shown(net_.opt.use_bf16_storage);
    library.flags["int8_inference"] = shown(net_.opt.use_int8_inference);
    // Without these instructions ncnn computes in fp32 whatever its options say.
    library.flags["fp16_instructions"] = shown(has_fp16_instructions());
    library.flags["winograd"] = shown(net_.opt.use_winograd_convolution);
    library.flags["packing"] = shown(net_.opt.use_packing_layout);
  }

  void run(const std::vector<measuring::Values>& inputs) override {
    ncnn::Extractor extractor = net_.create_extractor();
    for (size_t number = 0; number < inputs.size(); ++number) {
      const measuring::Input& input = plan_.inputs[number];
      if (extractor.input(input.name.c_str(), wrapped(inputs[number], input.shape)) != 0)
        measuring::fail("ncnn: has no input " + input.name);
    }
    results_.resize(plan_.outputs.size());
    for (size_t number = 0; number < results_.size(); ++number) {
      if (extractor.extract(plan_.outputs[number].name.c_str(), results_[number]) != 0)
        measuring::fail("ncnn: cannot compute output " + plan_.outputs[number].name);
    }
  }

  std::vector<measuring::Tensor> outputs() override {
    std::vector<measuring::Tensor> tensors;
    for (size_t number = 0; number < results_.size(); ++number) {
      const ncnn::Mat& mat = results_[number];
      if (mat.elempack != 1 || mat.elemsize != sizeof(float))
        measuring::fail("ncnn: output " + plan_.outputs[number].name + " is not fp32");
      measuring::Tensor tensor;
      tensor.shape = {1};
      if (mat.dims > 2) tensor.shape.push_back(mat.c);
      if (mat.dims > 3) tensor.shape.push_back(mat.d);
      if (mat.dims > 1) tensor.shape.push_back(mat.h);
      tensor.shape.push_back(mat.w);
      for (int channel = 0; channel < mat.c; ++channel) {
        // Channels are padded to the alignment; the gap between them holds no values.
        const float* values = mat.channel(channel);
        tensor.values.insert(tensor.values.end(), values, values + static_cast<int64_t>(mat.w) * mat.h * mat.d);
      }
      tensors.push_back(tensor);
    }
    return tensors;
  }

 private:
  // Wraps values without a copy; ncnn has no batch dimension, and would assume padded channels.
  static ncnn::Mat wrapped(const measuring::Values& values, const measuring::Shape& shape) {
    const std::vector<int> sides(shape.begin() + 1, shape.end());
    void* data = const_cast<float*>(values.data());
    if (shape.front() != 1 || sides.empty() || sides.size() > 3) measuring::fail("ncnn: takes inputs of batch 1 only");
    if (sides.size() == 1) return ncnn::Mat(sides[0], data);
    if (sides.size() == 2) return ncnn::Mat(sides[1], sides[0], data);
    ncnn::Mat mat(sides[2], sides[1], sides[0], data);
    mat.cstep = static_cast<size_t>(sides[2]) * sides[1];
    return mat;
  }

  measuring::Candidate plan_;
  ncnn::Net net_;
  std::vector<ncnn::Mat> results_;
};

}  // namespace

int main(int count, char** words) {
  measuring::Library library;
  library.runner = "ncnn";
  library.version = NCNN_VERSION_STRING;
  return measuring::run_plan(count, words, library,
                             [](const measuring::Candidate& candidate, measuring::Library& settings) {
                               return std::unique_ptr<measuring::Engine>(new NcnnEngine(candidate, settings));
                             });
}
