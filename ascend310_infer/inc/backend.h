// What runs a network. One implementation per SDK; each is built where CMake finds the SDK.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "app_error.h"
#include "preprocessing.h"

namespace resnet_zoo {

enum class InputType {
  kPixels,   // uint8, (H, W, channels), RGB or gray: the graph or AIPP normalizes
  kNumbers,  // float32 (channels, H, W), normalized by the caller
};

struct ModelSpec {
  InputType input_type = InputType::kNumbers;
  int height = 0, width = 0;
  int channels = 3;  // or 1: gray
  int num_classes = 0;
  int batch = 1;            // most images per Run
  std::string description;  // SDK and settings, for the screen

  size_t SampleBytes() const {
    const size_t numbers = static_cast<size_t>(height) * static_cast<size_t>(width) * static_cast<size_t>(channels);
    return numbers * (input_type == InputType::kPixels ? 1 : 4);
  }
};

// Whether a dimension is that of the channels: RGB or gray.
inline bool IsColor(int64_t channels) { return channels == 3 || channels == 1; }

constexpr int kLargestBatch = 2048;  // the largest gear that ATC accepts

enum class DeviceType { kAuto, kAscend, kCpu };

struct BackendOptions {
  std::filesystem::path model;
  DeviceType device = DeviceType::kAuto;  // auto: an Ascend where there is one and the model can run on it
  int device_id = 0;
  int batch = 0;  // 0: the model's own, 1 where it takes any
  int threads = 1;
  bool bf16 = false;
  // Where set, a float32 model whose SDK can do so normalizes pixels by itself: its spec then says kPixels.
  std::optional<Preprocessing> normalization;
};

// A model that cannot be used, or not as it was asked for.
class ModelError : public AppError {
 public:
  // What of BackendOptions has to change. Each program has its own flags for them.
  enum Option { kModel, kBatch, kPrecision, kDevice };
  explicit ModelError(const std::string& message, Option option = kModel) : AppError(message), option_(option) {}
  Option Which() const { return option_; }

 private:
  Option option_;
};

class InferenceBackend {
 public:
  virtual ~InferenceBackend() = default;
  virtual const ModelSpec& Spec() const = 0;
  // How many calls of Run may go on at once, each with its own slot from 0.
  virtual int NumSlots() const = 0;
  // input: `count` (1 to Spec().batch) samples one after the other; logits: count * num_classes. Blocks until done.
  // Returns how long the network itself took, in milliseconds: without copies, and without waiting for another slot.
  // Throws AppError (kExitFailure). May be called from any thread.
  virtual float Run(int slot, const uint8_t* input, int count, float* logits) = 0;
};

// Chooses by the model's ending. Throws ModelError when the ending is unknown, its backend is not built in, or the model
// cannot be used; AppError (kExitFailure) when the device or the SDK fails.
std::unique_ptr<InferenceBackend> OpenBackend(const BackendOptions& options);

// "auto", "ascend" or "cpu", as flags name them.
DeviceType DeviceNamed(const std::string& name);

// Runs every slot once, on zeros: the first calls take longer.
void WarmUp(InferenceBackend* backend);

// One line per backend: ending, SDK, whether it is built in.
std::string ListBackends();

}  // namespace resnet_zoo
