#include "plan.h"

#include <map>

using onednn::Check;

namespace {
constexpr size_t kAlignment = 4096;

onednn::Memory MakeMemory(const dnnl_memory_desc* desc) {
  dnnl_memory* memory = nullptr;
  Check(dnnl_memory_create(&memory, desc, Runtime::Get().engine, nullptr), "making a tensor");
  return onednn::Memory(memory);
}

onednn::Primitive MakePrimitive(const dnnl_primitive_desc* description) {
  dnnl_primitive* primitive = nullptr;
  Check(dnnl_primitive_create(&primitive, description), "making a primitive");
  return onednn::Primitive(primitive);
}

onednn::Primitive MakeReorder(const dnnl_memory_desc* from, const dnnl_memory_desc* to) {
  dnnl_engine* engine = Runtime::Get().engine;
  dnnl_primitive_desc* made = nullptr;
  Check(dnnl_reorder_primitive_desc_create(&made, from, engine, to, engine, OwnScratchpad().get()),
        "describing a re-ordering");
  onednn::PrimitiveDesc description(made);
  if (dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(made, onednn::kScratchpad, 0)))
    throw std::runtime_error("oneDNN: a re-ordering that needs scratch memory");
  return MakePrimitive(made);
}

void Reorder(const onednn::Primitive& reorder, const onednn::Memory& from, const onednn::Memory& to) {
  const onednn::ExecutionArgument arguments[] = {{onednn::kArgSource, from.get()}, {onednn::kArgTarget, to.get()}};
  Check(dnnl_primitive_execute(reorder.get(), Runtime::Get().stream, 2, arguments), "re-ordering");
}
}  // namespace

size_t Plan::Reserve(size_t size) {
  size_t place = size_;
  size_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  return place;
}

void Plan::Add(int id, int index, bool output, const dnnl_memory_desc* outside, const dnnl_memory_desc* inside) {
  Tensor tensor{index, output, MakeMemory(outside), nullptr, nullptr, 0};
  if (!dnnl_memory_desc_equal(outside, inside)) {
    tensor.inside = MakeMemory(inside);
    tensor.reorder = output ? MakeReorder(inside, outside) : MakeReorder(outside, inside);
    tensor.place = Reserve(dnnl_memory_desc_get_size(inside));
  }
  arguments_.push_back({id, tensor.inside ? tensor.inside.get() : tensor.outside.get()});
  tensors_.push_back(std::move(tensor));
}

void Plan::Finish(const dnnl_primitive_desc* description) {
  primitive_ = MakePrimitive(description);
  const dnnl_memory_desc* scratchpad = dnnl_primitive_desc_query_md(description, onednn::kScratchpad, 0);
  scratchpad_ = MakeMemory(scratchpad);
  scratchpad_place_ = Reserve(dnnl_memory_desc_get_size(scratchpad));
  arguments_.push_back({onednn::kArgScratchpad, scratchpad_.get()});
}

void Plan::Run(void** data) {
  Runtime& runtime = Runtime::Get();
  char* scratch = runtime.Scratch(size_);
  Check(dnnl_memory_set_data_handle(scratchpad_.get(), scratch + scratchpad_place_), "placing scratch memory");
  for (Tensor& tensor : tensors_) {
    Check(dnnl_memory_set_data_handle(tensor.outside.get(), data[tensor.index]), "placing a tensor");
    if (!tensor.reorder) continue;
    Check(dnnl_memory_set_data_handle(tensor.inside.get(), scratch + tensor.place), "placing a tensor");
    if (!tensor.output) Reorder(tensor.reorder, tensor.outside, tensor.inside);
  }
  Check(dnnl_primitive_execute(primitive_.get(), runtime.stream, static_cast<int>(arguments_.size()), arguments_.data()),
        "running a primitive");
  for (Tensor& tensor : tensors_)
    if (tensor.reorder && tensor.output) Reorder(tensor.reorder, tensor.inside, tensor.outside);
}

Plan& Planned(int kind, const Call& call, std::initializer_list<int> tensors, std::initializer_list<int64_t> numbers,
              const std::function<void(Plan&)>& fill) {
  static auto& plans = *new std::map<std::vector<int64_t>, std::unique_ptr<Plan>>;
  std::vector<int64_t> key{kind};
  key.insert(key.end(), numbers);
  for (int i : tensors) {
    key.push_back(2 * call.ndims[i] + call.IsBfloat16(i));
    key.insert(key.end(), call.shapes[i], call.shapes[i] + call.ndims[i]);
  }
  std::unique_ptr<Plan>& plan = plans[key];
  if (!plan) {
    // Known to each of MindSpore's threads by itself, hence said again.
    Check(dnnl_threadpool_interop_set_max_concurrency(Runtime::Get().pool.get_num_threads()), "setting the threads");
    auto fresh = std::make_unique<Plan>();
    fill(*fresh);
    plan = std::move(fresh);
  }
  return *plan;
}

onednn::MemoryDesc Describe(const std::vector<int64_t>& dims, onednn::Type type, onednn::Tag tag) {
  dnnl_memory_desc* desc = nullptr;
  Check(dnnl_memory_desc_create_with_tag(&desc, static_cast<int>(dims.size()), dims.data(), type, tag),
        "describing a tensor");
  return onednn::MemoryDesc(desc);
}

std::vector<int64_t> ImageDims(const Call& call, int i) {
  const int64_t* s = call.shapes[i];
  if (call.ndims[i] == 4) return {s[0], s[1], s[2], s[3]};
  if (call.ndims[i] != 5 || s[4] != BLOCK)
    throw std::invalid_argument("a tensor (N, C, H, W) or (N, C/b, H, W, b) is needed");
  return {s[0], s[1] * s[4], s[2], s[3]};
}

onednn::Tag TagOf(const Call& call, int i) {
  return call.ndims[i] == 4 ? onednn::kNchw : BLOCK == 16 ? onednn::kNchw16c : onednn::kNchw8c;
}

onednn::Attributes OwnScratchpad() {
  dnnl_primitive_attr* attributes = nullptr;
  Check(dnnl_primitive_attr_create(&attributes), "making attributes");
  Check(dnnl_primitive_attr_set_scratchpad_mode(attributes, onednn::kScratchpadOfUser), "taking over scratch memory");
  return onednn::Attributes(attributes);
}
