#include "backend.h"

#include <vector>

#include "app_error.h"
#include "backends.h"

namespace resnet_zoo {

namespace {

struct Entry {
  const char *ending, *sdk, *how;
  bool on_ascend, on_cpu;
  std::unique_ptr<InferenceBackend> (*open)(const BackendOptions&);
};

const Entry kBackends[] = {
    {".onnx", "OpenVINO", "-DOpenVINO_DIR=<its cmake folder>", false, true,
#ifdef WITH_OPENVINO
     OpenOpenVino
#else
     nullptr
#endif
    },
    {".om", "AscendCL", "-DASCEND_HOME=<CANN toolkit>", true, false,
#ifdef WITH_ASCENDCL
     OpenAscendCl
#else
     nullptr
#endif
    },
    {".mindir", "MindSpore Lite", "-DLITE_HOME=<MindSpore Lite package>", true, true,
#ifdef WITH_MINDSPORE_LITE
     OpenMindSporeLite
#else
     nullptr
#endif
    },
};

// The device for a model, of those that its backend runs on. The driver's node tells whether there is an Ascend.
DeviceType DeviceFor(const Entry& entry, DeviceType asked) {
  if (asked == DeviceType::kAuto) {
    std::error_code error;
    const bool is_there = entry.on_ascend && std::filesystem::exists("/dev/davinci_manager", error);
    return is_there || !entry.on_cpu ? DeviceType::kAscend : DeviceType::kCpu;
  }
  if (asked == DeviceType::kAscend ? entry.on_ascend : entry.on_cpu) return asked;
  throw ModelError(std::string("an ") + entry.ending + " model runs on " +
                       (entry.on_cpu ? "a CPU only; export an .om for Ascend" : "Ascend only; export an .onnx for a CPU"),
                   ModelError::kDevice);
}

}  // namespace

DeviceType DeviceNamed(const std::string& name) {
  return name == "ascend" ? DeviceType::kAscend : name == "cpu" ? DeviceType::kCpu : DeviceType::kAuto;
}

std::unique_ptr<InferenceBackend> OpenBackend(const BackendOptions& options) {
  const std::string ending = options.model.extension().string();
  for (const Entry& entry : kBackends) {
    if (ending != entry.ending) continue;
    if (!entry.open) {
      throw ModelError("'" + options.model.string() + "' needs " + entry.sdk +
                       ", which was not found when this program was built; build it with " + entry.how);
    }
    if (options.bf16 && entry.open != kBackends[0].open) {
      throw ModelError(std::string("bf16 is for .onnx models; the precision of an ") + entry.ending +
                           " model was chosen when it was converted",
                       ModelError::kPrecision);
    }
    BackendOptions chosen = options;
    chosen.device = DeviceFor(entry, options.device);
    auto backend = entry.open(chosen);
    const ModelSpec& spec = backend->Spec();
    if (spec.batch < 1 || spec.height < 1 || spec.width < 1 || spec.num_classes < 1) {
      throw ModelError("'" + options.model.string() + "' has a dimension of 0");
    }
    return backend;
  }
  throw ModelError("'" + options.model.string() + "' must end in .onnx, .om or .mindir");
}

void WarmUp(InferenceBackend* backend) {
  const ModelSpec& spec = backend->Spec();
  const std::vector<uint8_t> input(spec.SampleBytes() * static_cast<size_t>(spec.batch));
  std::vector<float> logits(static_cast<size_t>(spec.batch) * static_cast<size_t>(spec.num_classes));
  for (int slot = 0; slot < backend->NumSlots(); ++slot) backend->Run(slot, input.data(), spec.batch, logits.data());
}

std::string ListBackends() {
  std::string text = "Backends, chosen by the model's ending:\n";
  for (const Entry& entry : kBackends) {
    text += std::string("  ") + entry.ending + std::string(9 - std::string(entry.ending).size(), ' ') + entry.sdk + ": " +
            (entry.open ? "built in" : std::string("not built in (") + entry.how + ")") + "\n";
  }
  return text;
}

}  // namespace resnet_zoo
