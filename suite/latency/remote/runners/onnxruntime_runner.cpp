// Times ONNX graphs with ONNX Runtime on one thread of one core in fp32, every sample printed.
#include <onnxruntime_cxx_api.h>

#include "measuring.hpp"

namespace {

constexpr const char* kBfloat16Products = "mlas.enable_gemm_fastmath_arm64_bfloat16";

Ort::Env& environment() {
  static Ort::Env instance(ORT_LOGGING_LEVEL_ERROR, "latency");
  return instance;
}

class OnnxRuntimeEngine : public measuring::Engine {
 public:
  OnnxRuntimeEngine(const measuring::Candidate& candidate, measuring::Library& library)
      : plan_(candidate), memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
    if (candidate.files.empty()) measuring::fail("ONNX Runtime: a candidate needs an ONNX file");
    if (candidate.precision != "fp32") measuring::fail("ONNX Runtime: its precision is the graph's, fp32");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    options.SetInterOpNumThreads(1);
    options.SetExecutionMode(ORT_SEQUENTIAL);
    options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    options.EnableCpuMemArena();
    options.EnableMemPattern();
    options.AddConfigEntry("session.intra_op.allow_spinning", "0");
    options.AddConfigEntry("session.inter_op.allow_spinning", "0");
    options.AddConfigEntry(kBfloat16Products, "0");
    if (!candidate.inspection_file.empty()) options.SetOptimizedModelFilePath(candidate.inspection_file.c_str());
    try {
      session_ = Ort::Session(environment(), candidate.files[0].c_str(), options);
    } catch (const Ort::Exception& error) {
      measuring::fail("ONNX Runtime: cannot load " + candidate.files[0] + ": " + error.what());
    }
    bool fp32 = true;
    for (size_t number = 0; number < session_.GetInputCount(); ++number)
      fp32 = fp32 && is_float(session_.GetInputTypeInfo(number));
    for (size_t number = 0; number < session_.GetOutputCount(); ++number)
      fp32 = fp32 && is_float(session_.GetOutputTypeInfo(number));
    library.flags["threads"] = "1";
    library.flags["interface"] = fp32 ? "fp32" : "other";
    library.flags["bfloat16_products"] = options.GetConfigEntry(kBfloat16Products) == "0" ? "off" : "on";
    library.flags["spinning"] = options.GetConfigEntry("session.intra_op.allow_spinning") == "0" ? "off" : "on";
    library.flags["provider"] = "CPUExecutionProvider";
    for (const measuring::Input& input : plan_.inputs) inputs_.push_back(input.name.c_str());
    for (const measuring::Output& output : plan_.outputs) outputs_.push_back(output.name.c_str());
  }

  void run(const std::vector<measuring::Values>& inputs) override {
    std::vector<Ort::Value> values;
    for (size_t number = 0; number < inputs.size(); ++number) {
      const measuring::Shape& shape = plan_.inputs[number].shape;
      values.push_back(Ort::Value::CreateTensor<float>(memory_, const_cast<float*>(inputs[number].data()),
                                                       inputs[number].size(), shape.data(), shape.size()));
    }
    try {
      results_ = session_.Run(Ort::RunOptions{nullptr}, inputs_.data(), values.data(), values.size(), outputs_.data(),
                              outputs_.size());
    } catch (const Ort::Exception& error) {
      measuring::fail(std::string("ONNX Runtime: cannot run: ") + error.what());
    }
  }

  std::vector<measuring::Tensor> outputs() override {
    std::vector<measuring::Tensor> tensors;
    for (size_t number = 0; number < results_.size(); ++number) {
      const Ort::TensorTypeAndShapeInfo info = results_[number].GetTensorTypeAndShapeInfo();
      if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        measuring::fail("ONNX Runtime: output " + plan_.outputs[number].name + " is not fp32");
      const float* values = results_[number].GetTensorData<float>();
      tensors.push_back({info.GetShape(), measuring::Values(values, values + info.GetElementCount())});
    }
    return tensors;
  }

 private:
  static bool is_float(const Ort::TypeInfo& type) {
    return type.GetTensorTypeAndShapeInfo().GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }

  measuring::Candidate plan_;
  Ort::MemoryInfo memory_;
  Ort::Session session_{nullptr};
  std::vector<const char*> inputs_, outputs_;
  std::vector<Ort::Value> results_;
};

}  // namespace

int main(int count, char** words) {
  measuring::Library library;
  library.runner = "onnxruntime";
  library.version = OrtGetApiBase()->GetVersionString();
  return measuring::run_plan(count, words, library,
                             [](const measuring::Candidate& candidate, measuring::Library& settings) {
                               return std::unique_ptr<measuring::Engine>(new OnnxRuntimeEngine(candidate, settings));
                             });
}
