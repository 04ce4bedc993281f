// Convolution, dense or grouped, and its gradients. Weights are float32 (C_out, C_in / groups, K, K); a bfloat16 tensor on
// either side makes the products bfloat16 and their sums float32. The image may be a plain (N, C, H, W).
//
// config, int32: stride, whether padding is "same", whether ReLU follows.

#include <cstring>

#include "plan.h"
#include "windows.h"

using onednn::Check;
using onednn::MemoryDesc;
using onednn::PrimitiveDesc;

namespace {
struct Convolution {
  std::vector<int64_t> input, weights, output;
  bool narrow;  // groups whose channels do not fill blocks
  onednn::Type type;
  onednn::Tag input_tag, output_tag;
  MemoryDesc input_outside, weights_outside, output_outside;
  Windows windows;

  // x, w and y: which of the call's parameters are input, weights and output, or have their shapes.
  Convolution(const Call& c, int x, int w, int y, const int32_t* config)
      : input(ImageDims(c, x)), weights(c.shapes[w], c.shapes[w] + 4), output(ImageDims(c, y)), narrow(false),
        type(c.IsBfloat16(x) || c.IsBfloat16(y) ? onednn::kBfloat16 : onednn::kFloat32), input_tag(TagOf(c, x)),
        output_tag(TagOf(c, y)), windows(&input[2], &output[2], &weights[2], config[0], config[1] != 0) {
    int64_t groups = input[1] / weights[1];
    if (groups > 1) {
      narrow = c.ndims[x] == 5 && (weights[1] % BLOCK || weights[0] / groups % BLOCK);
      weights = {groups, weights[0] / groups, weights[1], weights[2], weights[3]};
    }
    input_outside = Describe(input, c.Type(x), input_tag);
    weights_outside = Describe(weights, onednn::kFloat32, groups > 1 ? onednn::kGoihw : onednn::kOihw);
    output_outside = Describe(output, c.Type(y), output_tag);
  }

  // make(layout of input, layout of output) with the tensors' own layouts, or with those that oneDNN likes best where it has
  // no fast kernel for the tensors' own.
  template <typename Make>
  PrimitiveDesc WithFastLayout(const Make& make) const {
    if (!narrow) {
      PrimitiveDesc description = make(input_tag, output_tag);
      const char* name = nullptr;
      if (description) Check(dnnl_primitive_desc_query(description.get(), onednn::kName, 0, &name), "asking for a name");
      if (name && !std::strstr(name, "ref")) return description;
    }
    PrimitiveDesc description = make(onednn::kAny, onednn::kAny);
    if (!description) throw std::runtime_error("oneDNN: no kernel for this convolution");
    return description;
  }

  // Null where oneDNN has no such kernel; so are the results of the two functions below.
  PrimitiveDesc Forward(onednn::Propagation propagation, onednn::Type in, onednn::Type out, onednn::Tag in_tag,
                        onednn::Tag out_tag, const dnnl_memory_desc* bias, const dnnl_primitive_attr* attributes) const {
    dnnl_primitive_desc* made = nullptr;
    dnnl_convolution_forward_primitive_desc_create(
        &made, Runtime::Get().engine, propagation, onednn::kDirectConvolution, Describe(input, in, in_tag).get(),
        Describe(weights, type, onednn::kAny).get(), bias, Describe(output, out, out_tag).get(), windows.strides,
        windows.no_dilation, windows.before, windows.after, attributes);
    return PrimitiveDesc(made);
  }
  PrimitiveDesc Hint(onednn::Tag in_tag, onednn::Tag out_tag) const {
    return Forward(onednn::kForwardTraining, type, type, in_tag, out_tag, nullptr, OwnScratchpad().get());
  }
};

const dnnl_memory_desc* Inside(const PrimitiveDesc& description, onednn::Query what) {
  return dnnl_primitive_desc_query_md(description.get(), what, 0);
}

void PlanForward(Plan& plan, const Call& c) {
  Convolution s(c, 0, 1, 3, c.Data<int32_t>(2));
  PrimitiveDesc d = s.WithFastLayout([&](onednn::Tag in_tag, onednn::Tag out_tag) {
    return s.Forward(onednn::kForwardTraining, s.type, c.Type(3), in_tag, out_tag, nullptr, OwnScratchpad().get());
  });
  plan.Add(onednn::kArgSource, 0, false, s.input_outside.get(), Inside(d, onednn::kSource));
  plan.Add(onednn::kArgWeights, 1, false, s.weights_outside.get(), Inside(d, onednn::kWeights));
  plan.Add(onednn::kArgTarget, 3, true, s.output_outside.get(), Inside(d, onednn::kTarget));
  plan.Finish(d.get());
}

void PlanBackwardData(Plan& plan, const Call& c) {
  Convolution s(c, 2, 1, 0, c.Data<int32_t>(3));
  PrimitiveDesc d = s.WithFastLayout([&](onednn::Tag in_tag, onednn::Tag out_tag) {
    dnnl_primitive_desc* made = nullptr;
    if (PrimitiveDesc hint = s.Hint(in_tag, out_tag))
      dnnl_convolution_backward_data_primitive_desc_create(
          &made, Runtime::Get().engine, onednn::kDirectConvolution, Describe(s.input, c.Type(2), in_tag).get(),
          Describe(s.weights, s.type, onednn::kAny).get(), Describe(s.output, s.type, out_tag).get(), s.windows.strides,
          s.windows.no_dilation, s.windows.before, s.windows.after, hint.get(), OwnScratchpad().get());
    return PrimitiveDesc(made);
  });
  plan.Add(onednn::kArgDiffTarget, 0, false, s.output_outside.get(), Inside(d, onednn::kDiffTarget));
  plan.Add(onednn::kArgWeights, 1, false, s.weights_outside.get(), Inside(d, onednn::kWeights));
  plan.Add(onednn::kArgDiffSource, 4, true, s.input_outside.get(), Inside(d, onednn::kDiffSource));
  plan.Finish(d.get());
}

void PlanBackwardWeights(Plan& plan, const Call& c) {
  Convolution s(c, 1, 2, 0, c.Data<int32_t>(3));
  PrimitiveDesc d = s.WithFastLayout([&](onednn::Tag in_tag, onednn::Tag out_tag) {
    dnnl_primitive_desc* made = nullptr;
    if (PrimitiveDesc hint = s.Hint(in_tag, out_tag))
      dnnl_convolution_backward_weights_primitive_desc_create(
          &made, Runtime::Get().engine, onednn::kDirectConvolution, Describe(s.input, s.type, in_tag).get(),
          Describe(s.weights, onednn::kFloat32, onednn::kAny).get(), nullptr, Describe(s.output, s.type, out_tag).get(),
          s.windows.strides, s.windows.no_dilation, s.windows.before, s.windows.after, hint.get(), OwnScratchpad().get());
    return PrimitiveDesc(made);
  });
  plan.Add(onednn::kArgDiffTarget, 0, false, s.output_outside.get(), Inside(d, onednn::kDiffTarget));
  plan.Add(onednn::kArgSource, 1, false, s.input_outside.get(), Inside(d, onednn::kSource));
  plan.Add(onednn::kArgDiffWeights, 4, true, s.weights_outside.get(), Inside(d, onednn::kDiffWeights));
  plan.Finish(d.get());
}

onednn::Attributes WithPostOps(const dnnl_memory_desc* other, bool relu) {
  onednn::Attributes attributes = OwnScratchpad();
  dnnl_post_ops* made = nullptr;
  Check(dnnl_post_ops_create(&made), "making post-operations");
  onednn::PostOps ops(made);
  if (other) Check(dnnl_post_ops_append_binary(made, onednn::kAdd, other), "adding a sum");
  if (relu) Check(dnnl_post_ops_append_eltwise(made, onednn::kRelu, 0, 0), "adding a ReLU");
  Check(dnnl_primitive_attr_set_post_ops(attributes.get(), made), "setting post-operations");
  return attributes;
}

void PlanInference(Plan& plan, const Call& c, bool has_other) {
  const auto* config = c.Data<int32_t>(3);
  int y = has_other ? 5 : 4;
  Convolution s(c, 0, 1, y, config);
  MemoryDesc bias = Describe({s.output[1]}, onednn::kFloat32, onednn::kVector);
  onednn::Attributes attributes = WithPostOps(has_other ? s.output_outside.get() : nullptr, config[2] != 0);
  PrimitiveDesc d = s.WithFastLayout([&](onednn::Tag in_tag, onednn::Tag out_tag) {
    return s.Forward(onednn::kForwardInference, s.type, c.Type(y), in_tag, out_tag, bias.get(), attributes.get());
  });
  plan.Add(onednn::kArgSource, 0, false, s.input_outside.get(), Inside(d, onednn::kSource));
  plan.Add(onednn::kArgWeights, 1, false, s.weights_outside.get(), Inside(d, onednn::kWeights));
  plan.Add(onednn::kArgBias, 2, false, bias.get(), bias.get());
  if (has_other) plan.Add(onednn::kArgFirstPostOp, 4, false, s.output_outside.get(), s.output_outside.get());
  plan.Add(onednn::kArgTarget, y, true, s.output_outside.get(), Inside(d, onednn::kTarget));
  plan.Finish(d.get());
}

enum Kind { kForward, kBackwardData, kBackwardWeights, kInference, kInferenceAdd };

void RunConvolution(Kind kind, const Call& c, std::initializer_list<int> tensors, int config_at,
                    const std::function<void(Plan&)>& fill) {
  const auto* config = c.Data<int32_t>(config_at);
  Planned(kind, c, tensors, {config[0], config[1], config[2]}, fill).Run(c.data);
}
}  // namespace

// x, weights, config -> y
OPERATOR(convolution_forward) {
  RunConvolution(kForward, c, {0, 1, 3}, 2, [&](Plan& plan) { PlanForward(plan, c); });
}

// dy, weights, x (for its shape), config -> dx
OPERATOR(convolution_backward_data) {
  RunConvolution(kBackwardData, c, {0, 1, 2}, 3, [&](Plan& plan) { PlanBackwardData(plan, c); });
}

// dy, x, weights (for their shape), config -> dweights
OPERATOR(convolution_backward_weights) {
  RunConvolution(kBackwardWeights, c, {0, 1, 2}, 3, [&](Plan& plan) { PlanBackwardWeights(plan, c); });
}

// x, weights, bias, config -> y
OPERATOR(convolution_inference) {
  RunConvolution(kInference, c, {0, 1, 4}, 3, [&](Plan& plan) { PlanInference(plan, c, false); });
}

// x, weights, bias, config, other -> y, the convolution plus `other`
OPERATOR(convolution_inference_add) {
  RunConvolution(kInferenceAdd, c, {0, 1, 5}, 3, [&](Plan& plan) { PlanInference(plan, c, true); });
}
