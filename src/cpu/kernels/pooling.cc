// Max and average pools.
//
// config, int32: kernel, stride, whether padding is "same", whether it is a maximum. Zeros of a padding that is "same" do
// not count in an average; others do.

#include "plan.h"

using onednn::Make;

// x, y: which parameters are the pool's input and output, or their gradients; places: where each maximum lies, oneDNN's own
// notes, which fit a tensor of bytes of the output's shape.
static Plan PlanPool(const Call& c, int x, int y, int places, bool is_backward) {
  const auto* config = c.Data<int32_t>(0);
  const bool is_same = config[2] != 0, is_maximum = config[3] != 0;
  const Activations input(c, x), output(c, y);
  const Windows w(input, output, config[0], config[1], is_same);
  const auto algorithm = is_maximum ? onednn::kMaximum
                         : is_same  ? onednn::kAverageWithoutPadding
                                    : onednn::kAverageWithPadding;
  dnnl_engine* engine = Runtime::Get().engine;
  auto in = input.MakeLayout(), out = output.MakeLayout();
  auto attributes = OwnScratchpad();
  auto made = Make("describing a pool", dnnl_pooling_forward_primitive_desc_create, engine, onednn::kForwardTraining,
                   algorithm, in.get(), out.get(), w.strides, w.kernel, w.no_dilation, w.before, w.after, attributes.get());
  if (is_backward)
    made = Make("describing a pool's gradient", dnnl_pooling_backward_primitive_desc_create, engine, algorithm, in.get(),
                out.get(), w.strides, w.kernel, w.no_dilation, w.before, w.after, made.get(), attributes.get());
  const int gradient = is_backward ? onednn::kGradientOf : 0;
  std::vector<Tensor> tensors;
  tensors.push_back({onednn::kSource | gradient, x, std::move(in)});
  tensors.push_back({onednn::kTarget | gradient, y, std::move(out)});
  if (is_maximum) {
    Layout notes = dnnl_primitive_desc_query_md(made.get(), onednn::kLayoutOfArgument, onednn::kWorkspace);
    size_t room = output.dims[0] * output.dims[1] * output.dims[2] * output.dims[3];
    if (dnnl_memory_desc_get_size(notes) > room) throw std::runtime_error("oneDNN: places of maxima larger than expected");
    tensors.push_back({onednn::kWorkspace, places, nullptr});
  }
  return Plan(made, std::move(tensors));
}

// config, x -> y, where each maximum lies (not written for an average)
OPERATOR(pool_forward) {
  RunPlan(c, [&] { return PlanPool(c, 1, 2, 3, false); });
}

// config, dy, where each maximum lies, x (for its shape) -> dx
OPERATOR(pool_backward) {
  RunPlan(c, [&] { return PlanPool(c, 4, 1, 2, true); });
}
