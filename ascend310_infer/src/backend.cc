#include "backend.h"

#include <vector>

#include "app_error.h"
#include "backends.h"

namespace resnet_zoo {

namespace {

struct Entry {
  const char *ending, *sdk, *how;
  std::unique_ptr<InferenceBackend> (*open)(const BackendOptions&);
};

const Entry kBackends[] = {
    {".onnx", "OpenVINO", "-DOpenVINO_DIR=<its cmake folder>",
#ifdef WITH_OPENVINO
     OpenOpenVino
#else
     nullptr
#endif
    },
    {".om", "AscendCL", "-DASCEND_HOME=<CANN toolkit>",
#ifdef WITH_ASCENDCL
     OpenAscendCl
#else
     nullptr
#endif
    },
    {".mindir", "MindSpore Lite", "-DLITE_HOME=<MindSpore Lite package>",
#ifdef WITH_MINDSPORE_LITE
     OpenMindSporeLite
#else
     nullptr
#endif
    },
};

}  // namespace

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
    auto backend = entry.open(options);
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
