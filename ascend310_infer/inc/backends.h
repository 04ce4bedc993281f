// The constructors of the backends, for OpenBackend alone.
#pragma once

#include <memory>

#include "backend.h"

namespace resnet_zoo {

std::unique_ptr<InferenceBackend> OpenOpenVino(const BackendOptions& options);
std::unique_ptr<InferenceBackend> OpenAscendCl(const BackendOptions& options);
std::unique_ptr<InferenceBackend> OpenMindSporeLite(const BackendOptions& options);

}  // namespace resnet_zoo
