// .om by AscendCL, with a static batch or with the batch sizes ("gears") of atc --dynamic_batch_size.
// Order of calls and their meaning: CANN's acl_rt.h and acl_mdl.h.
#include <algorithm>
#include <cstring>
#include <mutex>

#include <acl/acl.h>

#include "app_error.h"
#include "backends.h"
#include "half.h"
#include "latency.h"

namespace resnet_zoo {

namespace {

void Check(aclError status, const char* call) {
  if (status == ACL_ERROR_NONE) return;
  const char* message = aclGetRecentErrMsg();
  throw AppError(
      std::string("AscendCL: ") + call + " failed with " + std::to_string(status) + (message ? ": " + Reason(message) : ""),
      kExitFailure);
}

template <typename Handle>
Handle* CheckMade(Handle* handle, const char* call) {
  if (!handle) throw AppError(std::string("AscendCL: ") + call + " failed", kExitFailure);
  return handle;
}

// The process's connection to a device. Destroyed last.
class Device {
 public:
  explicit Device(int id) : id_(id) {
    Check(aclInit(nullptr), "aclInit");
    try {
      Check(aclrtSetDevice(id), "aclrtSetDevice");
    } catch (...) {
      aclFinalize();
      throw;
    }
    try {
      Check(aclrtCreateContext(&context_, id), "aclrtCreateContext");
    } catch (...) {
      aclrtResetDevice(id);
      aclFinalize();
      throw;
    }
  }
  ~Device() {
    aclrtDestroyContext(context_);
    aclrtResetDevice(id_);
    aclFinalize();
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Every thread that calls AscendCL does this first.
  void Enter() const { Check(aclrtSetCurrentContext(context_), "aclrtSetCurrentContext"); }

  // Whether this program runs on the device itself, so that all memory is the device's.
  bool IsHost() const {
    aclrtRunMode mode = ACL_HOST;
    Check(aclrtGetRunMode(&mode), "aclrtGetRunMode");
    return mode == ACL_HOST;
  }

 private:
  int id_;
  aclrtContext context_ = nullptr;
};

class LoadedModel {
 public:
  explicit LoadedModel(const std::string& path) {
    Check(aclmdlLoadFromFile(path.c_str(), &id_), "aclmdlLoadFromFile");
    desc_ = aclmdlCreateDesc();
    const aclError status = desc_ ? aclmdlGetDesc(desc_, id_) : ACL_ERROR_NONE;
    if (desc_ && status == ACL_ERROR_NONE) return;
    Release();
    Check(status, "aclmdlGetDesc");
    CheckMade(desc_, "aclmdlCreateDesc");
  }
  ~LoadedModel() { Release(); }
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;
  uint32_t Id() const { return id_; }
  aclmdlDesc* Desc() const { return desc_; }

 private:
  void Release() {
    if (desc_) aclmdlDestroyDesc(desc_);
    aclmdlUnload(id_);
  }
  uint32_t id_ = 0;
  aclmdlDesc* desc_ = nullptr;
};

// Device memory and the data buffer that describes it.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t size) : size_(size) {
    Check(aclrtMalloc(&memory_, size, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc");
    buffer_ = aclCreateDataBuffer(memory_, size);
    if (buffer_) return;
    aclrtFree(memory_);
    CheckMade(buffer_, "aclCreateDataBuffer");
  }
  ~DeviceBuffer() {
    aclDestroyDataBuffer(buffer_);
    aclrtFree(memory_);
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  void* Memory() const { return memory_; }
  size_t Size() const { return size_; }
  aclDataBuffer* Buffer() const { return buffer_; }

 private:
  void* memory_ = nullptr;
  size_t size_;
  aclDataBuffer* buffer_ = nullptr;
};

// Buffers of all inputs or all outputs of a call.
class Dataset {
 public:
  Dataset(aclmdlDesc* desc, size_t count, size_t (*size_of)(aclmdlDesc*, size_t)) : dataset_(nullptr, aclmdlDestroyDataset) {
    for (size_t i = 0; i < count; ++i) buffers_.push_back(std::make_unique<DeviceBuffer>(size_of(desc, i)));
    dataset_.reset(CheckMade(aclmdlCreateDataset(), "aclmdlCreateDataset"));
    for (const auto& buffer : buffers_) {
      Check(aclmdlAddDatasetBuffer(dataset_.get(), buffer->Buffer()), "aclmdlAddDatasetBuffer");
    }
  }
  aclmdlDataset* Get() const { return dataset_.get(); }
  const DeviceBuffer& At(size_t index) const { return *buffers_[index]; }

 private:
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  std::unique_ptr<aclmdlDataset, aclError (*)(const aclmdlDataset*)> dataset_;  // destroyed before the buffers that it lists
};

struct Slot {
  Dataset inputs, outputs;
  std::vector<uint8_t> raw_output;
  explicit Slot(aclmdlDesc* desc)
      : inputs(desc, aclmdlGetNumInputs(desc), aclmdlGetInputSizeByIndex),
        outputs(desc, aclmdlGetNumOutputs(desc), aclmdlGetOutputSizeByIndex), raw_output(outputs.At(0).Size()) {}
};

class AscendClBackend : public InferenceBackend {
 public:
  explicit AscendClBackend(const BackendOptions& options)
      : device_(options.device_id), name_(options.model.string()), model_(name_) {
    ReadBatches(options.batch);
    ReadInput();
    ReadOutput();
    const bool is_host = device_.IsHost();
    to_device_ = is_host ? ACL_MEMCPY_HOST_TO_DEVICE : ACL_MEMCPY_DEVICE_TO_DEVICE;
    from_device_ = is_host ? ACL_MEMCPY_DEVICE_TO_HOST : ACL_MEMCPY_DEVICE_TO_DEVICE;
    // The second slot copies while the first one computes.
    for (int i = 0; i < 2; ++i) {
      slots_.push_back(std::make_unique<Slot>(model_.Desc()));
      const DeviceBuffer& input = slots_.back()->inputs.At(0);
      const std::vector<uint8_t> zeros(input.Size());  // what stands behind the images of a batch that is not full
      Check(aclrtMemcpy(input.Memory(), input.Size(), zeros.data(), zeros.size(), to_device_), "aclrtMemcpy");
    }
    spec_.description =
        "AscendCL, device " + std::to_string(options.device_id) + (gears_.empty() ? ", static batch" : ", dynamic batch");
  }

  const ModelSpec& Spec() const override { return spec_; }
  int NumSlots() const override { return static_cast<int>(slots_.size()); }

  float Run(int slot_number, const uint8_t* input, int count, float* logits) override {
    device_.Enter();
    Slot& slot = *slots_[static_cast<size_t>(slot_number)];
    const size_t used = spec_.SampleBytes() * static_cast<size_t>(count);
    Check(aclrtMemcpy(slot.inputs.At(0).Memory(), slot.inputs.At(0).Size(), input, used, to_device_), "aclrtMemcpy");
    float milliseconds = 0;
    {
      const std::lock_guard<std::mutex> lock(execute_mutex_);  // one model runs one call at a time
      if (!gears_.empty()) SetGear(slot, static_cast<uint64_t>(count));
      milliseconds =
          Milliseconds([&] { Check(aclmdlExecute(model_.Id(), slot.inputs.Get(), slot.outputs.Get()), "aclmdlExecute"); });
    }
    const size_t values = static_cast<size_t>(count) * static_cast<size_t>(spec_.num_classes);
    const size_t size = values * (half_output_ ? 2 : 4);
    Check(aclrtMemcpy(slot.raw_output.data(), slot.raw_output.size(), slot.outputs.At(0).Memory(), size, from_device_),
          "aclrtMemcpy");
    CopyLogits(slot.raw_output.data(), half_output_, values, logits);
    return milliseconds;
  }

 private:
  [[noreturn]] void Refuse(const std::string& reason) const { throw ModelError("'" + name_ + "' " + reason); }

  void ReadBatches(int asked) {
    aclmdlBatch batches{};
    aclmdlIODims dims{};
    Check(aclmdlGetInputDims(model_.Desc(), 0, &dims), "aclmdlGetInputDims");
    if (dims.dimCount != 4) Refuse("must take images: its input has not four dimensions");
    const bool dynamic = dims.dims[0] < 0;
    if (dynamic) {
      Check(aclmdlGetDynamicBatch(model_.Desc(), &batches), "aclmdlGetDynamicBatch");
      gears_.assign(batches.batch, batches.batch + std::min<size_t>(batches.batchCount, ACL_MAX_BATCH_NUM));
      std::sort(gears_.begin(), gears_.end());
      if (gears_.empty()) Refuse("has a dynamic shape but no dynamic batch; convert it with --dynamic_batch_size");
      Check(aclmdlGetInputIndexByName(model_.Desc(), ACL_DYNAMIC_TENSOR_NAME, &gear_input_), "aclmdlGetInputIndexByName");
    }
    if (aclmdlGetNumInputs(model_.Desc()) != (dynamic ? 2 : 1) || aclmdlGetNumOutputs(model_.Desc()) != 1) {
      Refuse("must have one input and one output");
    }
    largest_ = dynamic ? static_cast<int>(gears_.back()) : static_cast<int>(dims.dims[0]);
    spec_.batch = asked ? asked : largest_;
    if (dynamic ? spec_.batch > largest_ : spec_.batch != largest_) {
      throw ModelError("'" + name_ + "' takes batches of " + (dynamic ? "1 to " : "") + std::to_string(largest_) +
                           (dynamic ? "" : " only") + ", got " + std::to_string(spec_.batch),
                       ModelError::kBatch);
    }
  }

  // With AIPP the input is uint8 pixels, whatever order its dimensions are listed in.
  void ReadInput() {
    aclmdlIODims dims{};
    Check(aclmdlGetInputDims(model_.Desc(), 0, &dims), "aclmdlGetInputDims");
    const aclDataType type = aclmdlGetInputDataType(model_.Desc(), 0);
    if (type != ACL_UINT8 && type != ACL_FLOAT) {
      Refuse("takes inputs of ACL data type " + std::to_string(type) + "; expected float32, or uint8 by AIPP");
    }
    spec_.input_type = type == ACL_UINT8 ? InputType::kPixels : InputType::kNumbers;
    const bool channels_last = type == ACL_UINT8 && IsColor(dims.dims[3]);
    const int64_t channels = dims.dims[channels_last ? 3 : 1];
    if (!IsColor(channels)) {
      Refuse("must take RGB or gray images; convert it with an AIPP input of RGB888_U8 or YUV400_U8, or none");
    }
    spec_.channels = static_cast<int>(channels);
    spec_.height = static_cast<int>(dims.dims[channels_last ? 1 : 2]);
    spec_.width = static_cast<int>(dims.dims[channels_last ? 2 : 3]);
    const size_t expected = spec_.SampleBytes() * static_cast<size_t>(largest_);
    const size_t has = aclmdlGetInputSizeByIndex(model_.Desc(), 0);
    if (spec_.height < 1 || spec_.width < 1 || has < expected) {
      Refuse("has an input of " + std::to_string(has) + " bytes; expected " + std::to_string(expected));
    }
  }

  void ReadOutput() {
    aclmdlIODims dims{};
    Check(aclmdlGetOutputDims(model_.Desc(), 0, &dims), "aclmdlGetOutputDims");
    const aclDataType type = aclmdlGetOutputDataType(model_.Desc(), 0);
    if (type != ACL_FLOAT && type != ACL_FLOAT16) Refuse("must give float32 or float16 logits");
    half_output_ = type == ACL_FLOAT16;
    if (dims.dimCount != 2 || dims.dims[1] < 1) Refuse("must give logits, (N, classes)");
    spec_.num_classes = static_cast<int>(dims.dims[1]);
    const size_t expected = static_cast<size_t>(spec_.num_classes) * static_cast<size_t>(largest_) * (half_output_ ? 2 : 4);
    const size_t has = aclmdlGetOutputSizeByIndex(model_.Desc(), 0);
    if (has < expected) Refuse("has an output of " + std::to_string(has) + " bytes; expected " + std::to_string(expected));
  }

  // The smallest gear that holds the images; what is beyond them is computed and dropped.
  void SetGear(const Slot& slot, uint64_t count) {
    const uint64_t gear = *std::lower_bound(gears_.begin(), gears_.end(), count);
    Check(aclmdlSetDynamicBatchSize(model_.Id(), slot.inputs.Get(), gear_input_, gear), "aclmdlSetDynamicBatchSize");
  }

  Device device_;
  const std::string name_;
  LoadedModel model_;
  std::vector<uint64_t> gears_;  // rising; empty: static batch
  size_t gear_input_ = 0;
  int largest_ = 1;
  bool half_output_ = false;
  aclrtMemcpyKind to_device_ = ACL_MEMCPY_HOST_TO_DEVICE, from_device_ = ACL_MEMCPY_DEVICE_TO_HOST;
  std::mutex execute_mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;
  ModelSpec spec_;
};

}  // namespace

std::unique_ptr<InferenceBackend> OpenAscendCl(const BackendOptions& options) {
  return std::make_unique<AscendClBackend>(options);
}

}  // namespace resnet_zoo
