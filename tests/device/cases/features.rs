//! A small choice of acceptance cases.

/// A case of each feature, for backends on which compiling takes long.
pub(crate) const FEATURES: [&str; 13] = [
    "fwd_s33_d40",
    "alibi_causal_h8_s65",
    "bias_neginf_softcap_s65",
    "mask_bool_kv_b11k",
    "sinks_gqa8_2_s33_causal",
    "varlen_causal_5seq",
    "decode_padded_kv_poison",
    "fwd_past12_new5_causal",
    "rope_half_s65_d64",
    "fwd_f16_gqa6_2_s65_causal",
    "onnx_attention_4d_causal_bf16",
    "onnx_attention_4d_with_qk_matmul_softmax",
    "onnx_attention_4d_with_qk_matmul_bias",
];
