// Max and average pools.
//
// config, int32: kernel, stride, whether padding is "same", whether it is a maximum. Zeros of a padding that is "same" do
// not count in an average; others do.

#include "plan.h"
#include "windows.h"

using onednn::Check;
using onednn::PrimitiveDesc;

namespace {
enum Kind { kPoolForward = 16, kPoolBackward };

struct Pool {
  std::vector<int64_t> input, output, kernel;
  bool is_maximum;
  Windows windows;
  onednn::Algorithm algorithm;
  onednn::MemoryDesc input_desc, output_desc;

  Pool(const Call& c, int x, int y, const int32_t* config)
      : input(ImageDims(c, x)), output(ImageDims(c, y)), kernel{config[0], config[0]}, is_maximum(config[3] != 0),
        windows(&input[2], &output[2], kernel.data(), config[1], config[2] != 0),
        algorithm(is_maximum  ? onednn::kMaximum
                  : config[2] ? onednn::kAverageWithoutPadding
                              : onednn::kAverageWithPadding),
        input_desc(Describe(input, c.Type(x), TagOf(c, x))), output_desc(Describe(output, c.Type(y), TagOf(c, y))) {}

  PrimitiveDesc Forward() const {
    dnnl_primitive_desc* made = nullptr;
    Check(dnnl_pooling_forward_primitive_desc_create(
              &made, Runtime::Get().engine, onednn::kForwardTraining, algorithm, input_desc.get(), output_desc.get(),
              windows.strides, windows.kernel, windows.no_dilation, windows.before, windows.after, OwnScratchpad().get()),
          "describing a pool");
    return PrimitiveDesc(made);
  }
  PrimitiveDesc Backward() const {
    PrimitiveDesc hint = Forward();
    dnnl_primitive_desc* made = nullptr;
    Check(dnnl_pooling_backward_primitive_desc_create(
              &made, Runtime::Get().engine, algorithm, input_desc.get(), output_desc.get(), windows.strides, windows.kernel,
              windows.no_dilation, windows.before, windows.after, hint.get(), OwnScratchpad().get()),
          "describing a pool's gradient");
    return PrimitiveDesc(made);
  }
};

// Where each maximum lies: oneDNN's own notes, which fit a tensor of bytes of the output's shape.
const dnnl_memory_desc* Places(const PrimitiveDesc& description, const Pool& pool) {
  const dnnl_memory_desc* places = dnnl_primitive_desc_query_md(description.get(), onednn::kWorkspace, 0);
  size_t room = pool.output[0] * pool.output[1] * pool.output[2] * pool.output[3];
  if (dnnl_memory_desc_get_size(places) > room) throw std::runtime_error("oneDNN: places of maxima larger than expected");
  return places;
}
}  // namespace

// x, config -> y, where each maximum lies (uint8, shape of y; not written for an average)
OPERATOR(pool_forward) {
  const auto* config = c.Data<int32_t>(1);
  Planned(kPoolForward, c, {0, 2}, {config[0], config[1], config[2], config[3]}, [&](Plan& plan) {
    Pool pool(c, 0, 2, config);
    PrimitiveDesc d = pool.Forward();
    plan.Add(onednn::kArgSource, 0, false, pool.input_desc.get(), pool.input_desc.get());
    plan.Add(onednn::kArgTarget, 2, true, pool.output_desc.get(), pool.output_desc.get());
    if (pool.is_maximum) plan.Add(onednn::kArgWorkspace, 3, true, Places(d, pool), Places(d, pool));
    plan.Finish(d.get());
  }).Run(c.data);
}

// dy, where each maximum lies, x (for its shape), config -> dx
OPERATOR(pool_backward) {
  const auto* config = c.Data<int32_t>(3);
  Planned(kPoolBackward, c, {0, 2}, {config[0], config[1], config[2], config[3]}, [&](Plan& plan) {
    Pool pool(c, 2, 0, config);
    PrimitiveDesc d = pool.Backward();
    plan.Add(onednn::kArgDiffTarget, 0, false, pool.output_desc.get(), pool.output_desc.get());
    if (pool.is_maximum) plan.Add(onednn::kArgWorkspace, 1, false, Places(d, pool), Places(d, pool));
    plan.Add(onednn::kArgDiffSource, 4, true, pool.input_desc.get(), pool.input_desc.get());
    plan.Finish(d.get());
  }).Run(c.data);
}
