// .mindir by MindSpore Lite, on Ascend or a CPU. Order of calls: MindSpore Lite's C++ interface, include/api/model.h and
// context.h.
#include <cstdlib>
#include <cstring>

#include <include/api/context.h>
#include <include/api/model.h>

#include "app_error.h"
#include "backends.h"
#include "captured_log.h"
#include "check_model.h"
#include "files.h"
#include "half.h"
#include "latency.h"

namespace resnet_zoo {

namespace {

namespace ms = mindspore;

constexpr size_t kLargestModel = size_t{2} << 30;  // bytes, protobuf's own limit

// Makes a call of MindSpore Lite, whose Status often says "Common error code." only: its log has the reason then.
template <typename Call>
void Checked(const char* name, Call call) {
  CapturedLog log;
  const ms::Status status = call();
  if (status.IsOk()) return;
  std::string reason = log.Reason();
  const bool lacks_library =
      reason.find("shared object") != std::string::npos || reason.find("DLSoOpen") != std::string::npos;
  if (lacks_library) reason += "; source CANN's set_env.sh first";
  throw AppError(std::string("MindSpore Lite: ") + name + ": " + Reason(reason.empty() ? status.ToString() : reason),
                 kExitFailure);
}

std::shared_ptr<ms::Context> MakeContext(const BackendOptions& options) {
  auto context = std::make_shared<ms::Context>();
  if (options.device == DeviceType::kAscend) {
    const auto device = std::make_shared<ms::AscendDeviceInfo>();
    device->SetDeviceID(static_cast<uint32_t>(options.device_id));
    context->MutableDeviceInfo().push_back(device);
  } else {
    context->SetThreadNum(options.threads);
    context->MutableDeviceInfo().push_back(std::make_shared<ms::CPUDeviceInfo>());
  }
  return context;
}

class MindSporeLiteBackend : public InferenceBackend {
 public:
  explicit MindSporeLiteBackend(const BackendOptions& options) : name_(options.model.string()) {
    Build(options);
    inputs_ = model_.GetInputs();
    if (inputs_.size() != 1 || model_.GetOutputs().size() != 1) Refuse("must have one input and one output");
    SetBatch(options.batch);
    ReadInput();
    ReadOutput();
    spec_.description = options.device == DeviceType::kAscend
                            ? "MindSpore Lite, Ascend " + std::to_string(options.device_id)
                            : "MindSpore Lite, CPU, threads " + std::to_string(options.threads);
  }

  const ModelSpec& Spec() const override { return spec_; }
  int NumSlots() const override { return 1; }  // a Model serves one call at a time

  float Run(int, const uint8_t* input, int count, float* logits) override {
    uint8_t* memory = InputMemory();
    const size_t used = spec_.SampleBytes() * static_cast<size_t>(count);  // ReadInput: the input has room for a whole batch
    std::memcpy(memory, input, used);
    std::memset(memory + used, 0, inputs_[0].DataSize() - used);  // the rest of a batch that is not full
    ms::MSTensor output;
    const float milliseconds = Milliseconds([&] { output = Predict(); });
    const size_t values = static_cast<size_t>(count) * static_cast<size_t>(spec_.num_classes);
    const bool half = output.DataType() == ms::DataType::kNumberTypeFloat16;
    const auto data = output.Data();
    if (!data || output.DataSize() < values * (half ? 2 : 4)) {
      throw AppError("MindSpore Lite: Model::Predict gave fewer values than " + std::to_string(values), kExitFailure);
    }
    CopyLogits(data.get(), half, values, logits);
    return milliseconds;
  }

 private:
  [[noreturn]] void Refuse(const std::string& reason) const { throw ModelError("'" + name_ + "' " + reason); }

  uint8_t* InputMemory() {
    auto* memory = static_cast<uint8_t*>(inputs_[0].MutableData());
    if (!memory) throw AppError("MindSpore Lite: the input has no memory", kExitFailure);
    return memory;
  }

  ms::MSTensor Predict() {
    std::vector<ms::MSTensor> outputs;
    Checked("Model::Predict", [&] { return model_.Predict(inputs_, &outputs); });
    if (outputs.size() != 1) throw AppError("MindSpore Lite: Model::Predict gave no output", kExitFailure);
    return outputs[0];
  }

  void Build(const BackendOptions& options) {
    const MindirOrigin origin = CheckFile();
    try {
      Checked("Model::Build", [&] { return model_.Build(name_, ms::kMindIR, MakeContext(options)); });
    } catch (const AppError& error) {
      // "... only support the maximum mind ir version: 1 ...", in the words of release 2.0.
      const std::string reason = error.what(), before = "maximum mind ir version: ";
      const size_t at = reason.find(before);
      if (at == std::string::npos) throw;
      const std::string newest = std::to_string(std::atoi(reason.c_str() + at + before.size()));
      const std::string release = ms::Version().empty() ? "this MindSpore Lite" : ms::Version();
      Refuse("has MINDIR version " + std::to_string(origin.version) + ", written by " + origin.producer + "; " + release +
             " takes up to version " + newest +
             ". Use MindSpore Lite of the release that wrote it, or export with --file_format MINDIR --converter_lite run");
    }
  }

  // Before MindSpore Lite sees the file: it would load libraries that a graph names.
  MindirOrigin CheckFile() const {
    const std::vector<uint8_t> bytes = ReadFile(name_, kLargestModel);
    try {
      return CheckMindir(bytes.data(), bytes.size());
    } catch (const AppError& problem) {
      Refuse(problem.what());
    }
  }

  // A model with a dynamic batch is resized to what was asked for; 1 where nothing was.
  void SetBatch(int asked) {
    std::vector<int64_t> shape = inputs_[0].Shape();
    if (shape.size() != 4) Refuse("must take images: its input has not four dimensions");
    const bool dynamic = shape[0] < 1;
    spec_.batch = asked ? asked : dynamic ? 1 : static_cast<int>(shape[0]);
    if (dynamic) {
      shape[0] = spec_.batch;
      Checked("Model::Resize", [&] { return model_.Resize(inputs_, {shape}); });
      inputs_ = model_.GetInputs();  // the tensors from before are no longer the model's
    } else if (spec_.batch != shape[0]) {
      throw ModelError(
          "'" + name_ + "' takes batches of " + std::to_string(shape[0]) + " only, got " + std::to_string(spec_.batch),
          ModelError::kBatch);
    }
  }

  void ReadInput() {
    const auto shape = inputs_[0].Shape();
    const auto type = inputs_[0].DataType();
    if (type != ms::DataType::kNumberTypeFloat32 && type != ms::DataType::kNumberTypeUInt8) {
      Refuse("must take float32, or uint8 by AIPP");
    }
    spec_.input_type = type == ms::DataType::kNumberTypeUInt8 ? InputType::kPixels : InputType::kNumbers;
    const bool channels_last = spec_.input_type == InputType::kPixels && IsColor(shape[3]);
    const int64_t channels = shape[channels_last ? 3 : 1];
    if (!IsColor(channels)) Refuse("must take RGB or gray images");
    spec_.channels = static_cast<int>(channels);
    spec_.height = static_cast<int>(shape[channels_last ? 1 : 2]);
    spec_.width = static_cast<int>(shape[channels_last ? 2 : 3]);
    const size_t expected = spec_.SampleBytes() * static_cast<size_t>(spec_.batch);
    if (spec_.height < 1 || spec_.width < 1 || inputs_[0].DataSize() != expected) {
      Refuse("has an input of " + std::to_string(inputs_[0].DataSize()) + " bytes; expected " + std::to_string(expected));
    }
  }

  void ReadOutput() {
    ms::MSTensor output = model_.GetOutputs()[0];
    if (output.Shape() == std::vector<int64_t>{-1}) {  // on a CPU known after the first call only
      std::memset(InputMemory(), 0, inputs_[0].DataSize());
      output = Predict();
    }
    const auto& shape = output.Shape();
    const auto type = output.DataType();
    if (shape.size() != 2 || shape[1] < 1) Refuse("must give logits, (N, classes)");
    if (type != ms::DataType::kNumberTypeFloat32 && type != ms::DataType::kNumberTypeFloat16) {
      Refuse("must give float32 or float16 logits");
    }
    spec_.num_classes = static_cast<int>(shape[1]);
  }

  const std::string name_;
  ms::Model model_;
  std::vector<ms::MSTensor> inputs_;
  ModelSpec spec_;
};

}  // namespace

std::unique_ptr<InferenceBackend> OpenMindSporeLite(const BackendOptions& options) {
  return std::make_unique<MindSporeLiteBackend>(options);
}

}  // namespace resnet_zoo
