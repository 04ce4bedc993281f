// .onnx by OpenVINO, on any x86-64 or ARM CPU.
#include <algorithm>
#include <cstring>
#include <istream>
#include <streambuf>

#include <openvino/frontend/manager.hpp>
#include <openvino/openvino.hpp>

#include "app_error.h"
#include "backends.h"
#include "check_model.h"
#include "files.h"
#include "latency.h"

namespace resnet_zoo {

namespace {

std::vector<float> Scaled(const std::array<float, 3>& values, int channels) {
  std::vector<float> scaled(values.begin(), values.begin() + channels);
  for (float& value : scaled) value *= 255;
  return scaled;
}

constexpr size_t kLargestModel = size_t{2} << 30;  // bytes, protobuf's own limit

// A stream's view of bytes.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(std::vector<uint8_t>* bytes) {
    auto* begin = reinterpret_cast<char*>(bytes->data());
    setg(begin, begin, begin + bytes->size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode mode) override {
    const off_type base = from == std::ios_base::beg ? 0 : from == std::ios_base::cur ? gptr() - eback() : egptr() - eback();
    return seekpos(base + offset, mode);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode /*mode*/) override {
    if (position < 0 || position > egptr() - eback()) return pos_type{off_type{-1}};
    setg(eback(), eback() + static_cast<off_type>(position), egptr());
    return position;
  }
};

class OpenVinoBackend : public InferenceBackend {
 public:
  explicit OpenVinoBackend(const BackendOptions& options) {
    const std::string name = options.model.string();
    const auto abilities = core_.get_property("CPU", ov::device::capabilities);
    if (options.bf16 && std::find(abilities.begin(), abilities.end(), ov::device::capability::BF16) == abilities.end()) {
      throw ModelError("OpenVINO finds no bf16 arithmetic on this CPU; unset ONEDNN_MAX_CPU_ISA if it is set",
                       ModelError::kPrecision);
    }
    auto model = Read(name);
    Inspect(*model, name);
    const bool any_batch = model->input().get_partial_shape()[0].is_dynamic();
    const int own_batch = any_batch ? 1 : static_cast<int>(model->input().get_partial_shape()[0].get_length());
    spec_.batch = options.batch ? options.batch : own_batch;
    if (!any_batch && spec_.batch != own_batch) {
      throw ModelError(
          "'" + name + "' takes batches of " + std::to_string(own_batch) + " only, got " + std::to_string(spec_.batch),
          ModelError::kBatch);
    }
    const bool fits = options.normalization && options.normalization->channels == spec_.channels;  // else the caller says so
    if (fits && spec_.input_type == InputType::kNumbers) {
      model = WithNormalization(model, *options.normalization);
      spec_.input_type = InputType::kPixels;
    }
    if (any_batch) {
      auto shape = model->input().get_partial_shape();
      shape[0] = spec_.batch;
      model->reshape(shape);
    }
    compiled_ = core_.compile_model(model, "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::THROUGHPUT),
                                    ov::hint::inference_precision(options.bf16 ? ov::element::bf16 : ov::element::f32),
                                    ov::inference_num_threads(options.threads));
    const auto classes = compiled_.output().get_shape();
    spec_.num_classes = static_cast<int>(classes.back());
    if (classes[0] != static_cast<size_t>(spec_.batch)) {
      throw ModelError("'" + name + "' gives " + std::to_string(classes[0]) + " rows of logits for a batch of " +
                       std::to_string(spec_.batch));
    }
    const unsigned parallel = std::max(1U, compiled_.get_property(ov::optimal_number_of_infer_requests));
    for (unsigned i = 0; i < parallel; ++i) requests_.push_back(compiled_.create_infer_request());
    spec_.description = std::string("OpenVINO, ") + (options.bf16 ? "bf16" : "f32") + ", " +
                        std::to_string(options.threads) + " threads, " + std::to_string(parallel) + " streams";
  }

  const ModelSpec& Spec() const override { return spec_; }
  int NumSlots() const override { return static_cast<int>(requests_.size()); }

  float Run(int slot, const uint8_t* input, int count, float* logits) override {
    try {
      auto& request = requests_[static_cast<size_t>(slot)];
      auto tensor = request.get_input_tensor();
      const size_t used = spec_.SampleBytes() * static_cast<size_t>(count);
      auto* bytes = static_cast<uint8_t*>(tensor.data());
      std::memcpy(bytes, input, used);
      std::memset(bytes + used, 0, tensor.get_byte_size() - used);  // the rest of a batch that is not full
      const float milliseconds = Milliseconds([&] { request.infer(); });
      const auto output = request.get_output_tensor();
      std::memcpy(logits, output.data<const float>(),
                  static_cast<size_t>(count) * static_cast<size_t>(spec_.num_classes) * sizeof(float));
      return milliseconds;
    } catch (const std::exception& problem) {
      throw AppError("OpenVINO: inference failed: " + Reason(problem.what()), kExitFailure);
    }
  }

 private:
  // Core::read_model would try a broken file as every other format, which print to standard error. What was checked is what
  // is read, because the file is read once.
  std::shared_ptr<ov::Model> Read(const std::string& name) {
    frontend_ = frontends_.load_by_framework("onnx");
    std::vector<uint8_t> bytes = ReadFile(name, kLargestModel);
    try {
      CheckOnnx(bytes.data(), bytes.size());
    } catch (const AppError& problem) {
      throw ModelError("'" + name + "' " + problem.what());
    }
    MemoryBuffer buffer(&bytes);
    std::istream stream(&buffer);
    const auto file = frontend_->load(&stream);
    if (!file) throw ModelError("'" + name + "' is not an ONNX file");
    return frontend_->convert(file);
  }

  // One image input, one output of logits; what else there may be is refused.
  void Inspect(const ov::Model& model, const std::string& name) {
    const auto refuse = [&](const std::string& reason) { throw ModelError("'" + name + "' " + reason); };
    if (model.inputs().size() != 1 || model.outputs().size() != 1) refuse("must have one input and one output");
    const auto shape = model.input().get_partial_shape();
    const auto type = model.input().get_element_type();
    if (shape.rank().is_dynamic() || shape.size() != 4) refuse("must take images: its input has not four dimensions");
    const bool pixels = type == ov::element::u8;
    if (!pixels && type != ov::element::f32) refuse("takes " + type.get_type_name() + " input; expected f32 or u8");
    const auto &height = shape[pixels ? 1 : 2], &width = shape[pixels ? 2 : 3], &channels = shape[pixels ? 3 : 1];
    if (height.is_dynamic() || width.is_dynamic() || channels.is_dynamic() ||
        (channels.get_length() != 3 && channels.get_length() != 1)) {
      refuse(std::string("has the input ") + shape.to_string() + "; expected " + (pixels ? "[N,H,W,3]" : "[N,3,H,W]") +
             ", or 1 for 3");
    }
    const auto logits = model.output().get_partial_shape();
    if (logits.rank().is_dynamic() || logits.size() != 2 || logits[1].is_dynamic()) {
      refuse("has the output " + logits.to_string() + "; expected [N,classes]");
    }
    if (model.output().get_element_type() != ov::element::f32) refuse("must give float32 logits");
    spec_.input_type = pixels ? InputType::kPixels : InputType::kNumbers;
    spec_.height = static_cast<int>(height.get_length());
    spec_.width = static_cast<int>(width.get_length());
    spec_.channels = static_cast<int>(channels.get_length());
  }

  static std::shared_ptr<ov::Model> WithNormalization(const std::shared_ptr<ov::Model>& model,
                                                      const Preprocessing& preprocessing) {
    ov::preprocess::PrePostProcessor processor(model);
    processor.input().tensor().set_element_type(ov::element::u8).set_layout("NHWC");
    processor.input().model().set_layout("NCHW");
    processor.input()
        .preprocess()
        .convert_element_type(ov::element::f32)
        .mean(Scaled(preprocessing.mean, preprocessing.channels))
        .scale(Scaled(preprocessing.std, preprocessing.channels));
    return processor.build();
  }

  ov::Core core_;
  ov::frontend::FrontEndManager frontends_;  // keeps the library of the frontend
  ov::frontend::FrontEnd::Ptr frontend_;
  ov::CompiledModel compiled_;
  std::vector<ov::InferRequest> requests_;
  ModelSpec spec_;
};

}  // namespace

std::unique_ptr<InferenceBackend> OpenOpenVino(const BackendOptions& options) {
  try {
    return std::make_unique<OpenVinoBackend>(options);
  } catch (const AppError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& problem) {
    const std::string message = "OpenVINO cannot use '" + options.model.string() + "': " + Reason(problem.what());
    if (!options.bf16) throw ModelError(message);
    // oneDNN held to an older instruction set fails without saying why.
    throw ModelError(message + "; unset ONEDNN_MAX_CPU_ISA if it is set", ModelError::kPrecision);
  }
}

}  // namespace resnet_zoo
