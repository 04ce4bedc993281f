// Stands in for libmindspore-lite.so in the tests: keeps MindSpore Lite's rules and ends the process when one is broken.
// Tensors are blocks of exactly their size, so that AddressSanitizer sees any overrun; tensors from before a Resize are
// stale. STANDIN_FAIL=Build|Resize|Predict makes that call fail; STANDIN_FAIL=Version makes Build refuse the file as too
// new, as MindSpore Lite 2.0 does.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <include/api/context.h>
#include <include/api/model.h>

#include "linear_model.h"

namespace mindspore {

namespace {

void Rule(bool kept, const char* rule) {
  if (kept) return;
  std::fprintf(stderr, "STAND-IN: MindSpore Lite: %s\n", rule);
  std::abort();
}

bool Fails(const char* call) {
  const char* chosen = std::getenv("STANDIN_FAIL");
  return chosen && std::strcmp(chosen, call) == 0;
}

Status Failure(const char* message) { return Status(kLiteError, std::string(message)); }

}  // namespace

struct Status::Data {
  enum StatusCode code = kSuccess;
  std::vector<char> message;
};
Status::Status() : data_(std::make_shared<Data>()) {}
Status::Status(enum StatusCode code, const std::vector<char>& message) : data_(std::make_shared<Data>()) {
  data_->code = code;
  data_->message = message;
}
bool Status::IsOk() const { return data_->code == kSuccess; }
std::vector<char> Status::ToCString() const { return data_->message; }

std::vector<char> CharVersion() {
  const std::string version = "MindSpore Lite 0.1";
  return {version.begin(), version.end()};
}

struct DeviceInfoContext::Data {
  uint32_t device_id = 0;
};
DeviceInfoContext::DeviceInfoContext() : data_(std::make_shared<Data>()) {}
void AscendDeviceInfo::SetDeviceID(uint32_t device_id) { data_->device_id = device_id; }
uint32_t AscendDeviceInfo::GetDeviceID() const { return data_->device_id; }

struct Context::Data {
  std::vector<std::shared_ptr<DeviceInfoContext>> devices;
};
void Context::SetThreadNum(int32_t thread_num) { Rule(thread_num > 0, "at least one thread is asked for"); }
Context::Context() : data_(std::make_shared<Data>()) {}
std::vector<std::shared_ptr<DeviceInfoContext>>& Context::MutableDeviceInfo() { return data_->devices; }

class MSTensor::Impl {
 public:
  enum DataType type = DataType::kNumberTypeFloat32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};
MSTensor::MSTensor() = default;
MSTensor::MSTensor(const std::shared_ptr<Impl>& impl) : impl_(impl) {}
MSTensor::~MSTensor() = default;
enum DataType MSTensor::DataType() const { return impl_->type; }
const std::vector<int64_t>& MSTensor::Shape() const { return impl_->shape; }
std::shared_ptr<const void> MSTensor::Data() const { return std::shared_ptr<const void>(impl_, impl_->bytes.data()); }
void* MSTensor::MutableData() { return impl_->bytes.empty() ? nullptr : impl_->bytes.data(); }
size_t MSTensor::DataSize() const { return impl_->bytes.size(); }

class ModelImpl {
 public:
  LinearModel model;
  int64_t batch = -1;
  std::shared_ptr<MSTensor::Impl> input, output;
  std::atomic<int> computing{0};

  // -1 as long as a dynamic batch is not resized.
  void SetBatch(int64_t size) {
    batch = size;
    const size_t images = size < 0 ? 0 : static_cast<size_t>(size);
    input = std::make_shared<MSTensor::Impl>();
    input->type = model.pixels ? DataType::kNumberTypeUInt8 : DataType::kNumberTypeFloat32;
    input->shape = model.pixels ? std::vector<int64_t>{size, model.height, model.width, model.channels}
                                : std::vector<int64_t>{size, model.channels, model.height, model.width};
    input->bytes.resize(images * model.InputSize());
    output = std::make_shared<MSTensor::Impl>();
    output->type = model.half_output ? DataType::kNumberTypeFloat16 : DataType::kNumberTypeFloat32;
    output->shape = {size, model.classes};
    output->bytes.resize(images * model.OutputSize());
  }
};

Model::Model() = default;
Model::~Model() = default;

Status Model::Build(const std::vector<char>& path, ModelType type, const std::shared_ptr<Context>& context) {
  Rule(type == kMindIR, "the file is a MindIR");
  Rule(context && context->MutableDeviceInfo().size() == 1, "one device is given");
  const auto* ascend = dynamic_cast<AscendDeviceInfo*>(context->MutableDeviceInfo()[0].get());
  Rule(ascend || dynamic_cast<CPUDeviceInfo*>(context->MutableDeviceInfo()[0].get()), "the device is an Ascend or a CPU");
  if (Fails("Build") || (ascend && ascend->GetDeviceID() > 3)) return Failure("\nno such device\nsecond line");
  if (Fails("Version")) {
    std::fprintf(stderr, "[WARNING] LITE(1,2,x):now [a.cc:3] Load] slow\n");
    std::fprintf(stderr,
                 "[ERROR] ME(1,2,x):now [b.cc:45] Check] This software can only support the maximum mind ir version: 1, "
                 "please install the latest version to support the mind ir version: 3\n");
    return Failure("Common error code.");
  }
  impl_ = std::make_shared<ModelImpl>();
  if (!ReadLinearModel(std::string(path.begin(), path.end()), &impl_->model)) return Failure("Load model file failed.");
  impl_->SetBatch(impl_->model.gears.empty() ? impl_->model.batch : -1);
  return Status();
}

Status Model::Resize(const std::vector<MSTensor>& inputs, const std::vector<std::vector<int64_t>>& dims) {
  Rule(impl_ && !impl_->model.gears.empty(), "only a model with a dynamic shape is resized");
  Rule(inputs.size() == 1 && inputs[0].impl() == impl_->input && dims.size() == 1, "the tensors are the model's");
  auto shape = impl_->input->shape;
  shape[0] = dims[0][0];
  Rule(shape == dims[0] && shape[0] > 0, "only the batch changes");
  if (Fails("Resize")) return Failure("out of memory");
  impl_->SetBatch(shape[0]);
  return Status();
}

Status Model::Predict(const std::vector<MSTensor>& inputs, std::vector<MSTensor>* outputs, const MSKernelCallBack&,
                      const MSKernelCallBack&) {
  Rule(++impl_->computing == 1, "a model serves one call at a time");
  Rule(inputs.size() == 1 && inputs[0].impl() == impl_->input && impl_->batch > 0, "the tensors are the model's");
  if (Fails("Predict")) {
    --impl_->computing;
    return Failure("the device was lost");
  }
  impl_->model.Compute(impl_->input->bytes.data(), static_cast<size_t>(impl_->batch), impl_->output->bytes.data());
  *outputs = {MSTensor(impl_->output)};
  --impl_->computing;
  return Status();
}

std::vector<MSTensor> Model::GetInputs() { return {MSTensor(impl_->input)}; }
std::vector<MSTensor> Model::GetOutputs() { return {MSTensor(impl_->output)}; }

}  // namespace mindspore
