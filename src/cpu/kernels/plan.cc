#include "plan.h"

#include <algorithm>
#include <map>

using onednn::Check;
using onednn::Make;
using onednn::Owned;

namespace {
constexpr size_t kAlignment = 4096;

Owned<dnnl_memory> MakeMemory(Layout layout) {
  return Make("making a tensor", dnnl_memory_create, layout, Runtime::Get().engine, nullptr);
}

Owned<dnnl_primitive> MakeReorder(Layout from, Layout to) {
  dnnl_engine* engine = Runtime::Get().engine;
  auto description =
      Make("describing a re-ordering", dnnl_reorder_primitive_desc_create, from, engine, to, engine, OwnScratchpad().get());
  if (dnnl_memory_desc_get_size(
          dnnl_primitive_desc_query_md(description.get(), onednn::kLayoutOfArgument, onednn::kScratchpad)))
    throw std::runtime_error("oneDNN: a re-ordering that needs scratch memory");
  return Make("making a re-ordering", dnnl_primitive_create, description.get());
}

void Reorder(const Owned<dnnl_primitive>& reorder, const Owned<dnnl_memory>& from, const Owned<dnnl_memory>& to) {
  const onednn::ExecutionArgument arguments[] = {{onednn::kSource, from.get()}, {onednn::kTarget, to.get()}};
  Check(dnnl_primitive_execute(reorder.get(), Runtime::Get().stream, 2, arguments), "re-ordering");
}
}  // namespace

Plan::Plan(const Owned<dnnl_primitive_desc>& description, std::vector<Tensor> tensors)
    : primitive_(Make("making a primitive", dnnl_primitive_create, description.get())) {
  auto wanted = [&](int id) { return dnnl_primitive_desc_query_md(description.get(), onednn::kLayoutOfArgument, id); };
  for (const Tensor& tensor : tensors) {
    bool is_output = tensor.id == onednn::kTarget || tensor.id == (onednn::kSource | onednn::kGradientOf) ||
                     tensor.id == (onednn::kWeights | onednn::kGradientOf);
    Layout inside = wanted(tensor.id), outside = tensor.layout ? tensor.layout.get() : inside;
    Layout seen = tensor.seen ? tensor.seen.get() : inside;
    Placed placed{tensor.index, is_output, MakeMemory(outside), nullptr, nullptr, nullptr, 0};
    if (!dnnl_memory_desc_equal(outside, seen)) {
      placed.inside = MakeMemory(inside);
      placed.seen = MakeMemory(seen);
      placed.reorder = is_output ? MakeReorder(seen, outside) : MakeReorder(outside, seen);
      placed.place = Reserve(inside);
    }
    arguments_.push_back({tensor.id, placed.inside ? placed.inside.get() : placed.outside.get()});
    tensors_.push_back(std::move(placed));
  }
  scratchpad_ = MakeMemory(wanted(onednn::kScratchpad));
  scratchpad_place_ = Reserve(wanted(onednn::kScratchpad));
  arguments_.push_back({onednn::kScratchpad, scratchpad_.get()});
}

size_t Plan::Reserve(Layout layout) {
  size_t place = size_;
  size_ += (dnnl_memory_desc_get_size(layout) + kAlignment - 1) / kAlignment * kAlignment;
  return place;
}

void Plan::Run(void** data) {
  Runtime& runtime = Runtime::Get();
  char* scratch = runtime.Scratch(size_);
  Check(dnnl_memory_set_data_handle(scratchpad_.get(), scratch + scratchpad_place_), "placing scratch memory");
  for (Placed& tensor : tensors_) {
    Check(dnnl_memory_set_data_handle(tensor.outside.get(), data[tensor.index]), "placing a tensor");
    if (!tensor.reorder) continue;
    Check(dnnl_memory_set_data_handle(tensor.inside.get(), scratch + tensor.place), "placing a tensor");
    Check(dnnl_memory_set_data_handle(tensor.seen.get(), scratch + tensor.place), "placing a tensor");
    if (!tensor.is_output) Reorder(tensor.reorder, tensor.outside, tensor.seen);
  }
  Check(dnnl_primitive_execute(primitive_.get(), runtime.stream, static_cast<int>(arguments_.size()), arguments_.data()),
        "running a primitive");
  for (Placed& tensor : tensors_)
    if (tensor.reorder && tensor.is_output) Reorder(tensor.reorder, tensor.seen, tensor.outside);
}

void RunPlan(const Call& call, const std::function<Plan()>& make) {
  static auto& plans = *new std::map<std::vector<int64_t>, Plan>;
  const auto* config = call.Data<int32_t>(0);
  std::vector<int64_t> key{reinterpret_cast<int64_t>(call.name)};
  key.insert(key.end(), config, config + call.shapes[0][0]);
  for (int i = 1; i < call.count; ++i) {
    key.push_back(2 * call.ndims[i] + call.IsBfloat16(i));
    key.insert(key.end(), call.shapes[i], call.shapes[i] + call.ndims[i]);
  }
  auto found = plans.find(key);
  if (found == plans.end()) {
    // Known to each of MindSpore's threads by itself, hence said again.
    Check(dnnl_threadpool_interop_set_max_concurrency(Runtime::Get().pool.get_num_threads()), "setting the threads");
    found = plans.emplace(key, make()).first;
  }
  found->second.Run(call.data);
}

Owned<dnnl_memory_desc> Describe(const std::vector<int64_t>& dims, onednn::Type type, onednn::Tag tag) {
  return Make("describing a tensor", dnnl_memory_desc_create_with_tag, dims.size(), dims.data(), type, tag);
}

Activations::Activations(const Call& call, int i) : type(call.Type(i)), tag(onednn::kNchw) {
  const int64_t* shape = call.shapes[i];
  const bool is_image = call.ndims[i] == 4;
  if (!is_image && !call.IsActivations(i))
    throw std::invalid_argument("a tensor (N, C, H, W) or (N, C/b, H, W, b) is needed");
  dims.assign(shape, shape + 4);
  if (is_image) return;
  dims[1] *= shape[4];
  tag = shape[4] == BLOCK ? onednn::kBlocked : onednn::kNhwc;
}

Owned<dnnl_primitive_attr> OwnScratchpad() {
  auto attributes = Make("making attributes", dnnl_primitive_attr_create);
  Check(dnnl_primitive_attr_set_scratchpad_mode(attributes.get(), onednn::kScratchpadOfUser), "taking over scratch memory");
  return attributes;
}

Windows::Windows(const Activations& input, const Activations& output, int64_t size, int64_t stride, bool same) {
  for (int axis = 0; axis < 2; ++axis) {
    strides[axis] = stride;
    kernel[axis] = size;
    int64_t needed = std::max<int64_t>((output.dims[axis + 2] - 1) * stride + size - input.dims[axis + 2], 0);
    before[axis] = same ? needed / 2 : (size - 1) / 2;
    after[axis] = same ? needed - before[axis] : before[axis];
  }
}
