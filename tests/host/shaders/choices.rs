//! `every_kernel` has every choice of parts, types and dimensions: what is not among them, no test runs.

use std::collections::BTreeSet;

use wgpu_attention::kernels::Kernel;

use super::{KERNELS, Reflected, shader_files};

/// Parts of every kernel that goes through queries and keys.
const SCORING: &str = "params score pair custom softcap alibi no_alibi bias no_bias keep no_keep block_mask no_block_mask classes no_classes \
                       heads rows block block_dense block_lengths block_packed key_row half lanes pairs state dot head_scales \
                       no_head_scales grid grid_bias no_grid_bias";

/// And of those that look at pairs a second time.
const SECOND: &str = "additive tile_scores row_scores row_alone row_shuffle";

/// And of those that make one pass.
const FORWARD: &str = "row_groups sinks no_sinks softmax_row lse no_lse no_state finish";

/// The files of shaders/ that some text of a kernel holds, beside its own.
fn parts(kernel: &str) -> String {
    match kernel {
        "tile" => format!("{SCORING} {FORWARD} additive columns row_alone tile_scores tile_values no_values"),
        "row" => format!("{SCORING} {FORWARD} additive columns row_alone row_shuffle"),
        "decode" => format!("{SCORING} {FORWARD} additive few_rows"),
        "matrix" => format!("{SCORING} {FORWARD}"),
        "scores" => format!("{SCORING} {SECOND} raw weigh"),
        "measure" | "receive" | "pool" => format!("{SCORING} {SECOND}"),
        "top" => format!("{SCORING} additive few_rows"),
        "clear" => "params".into(),
        "classify" => "params score pair custom softcap grid dot no_head_scales no_grid_bias no_alibi bias no_bias keep no_keep block_mask \
                       no_block_mask no_classes heads rows row_groups \
                       block block_dense block_lengths block_packed"
            .into(),
        "merge" => {
            "params heads score sinks no_sinks softmax_row part_state part_lses row_dense row_packed lse no_lse state no_state half"
                .into()
        }
        "rotary" => {
            "params heads angles angles_rows angles_ids angles_appended no_angles kv_lens to_same to_cache half".into()
        }
        "pack" => "params".into(),
        "diverge" => "params heads".into(),
        "linear" => "params lanes activation linear_tile linear_rows linear_few linear_matrix row_alone row_shuffle layer_bias no_layer_bias residual \
                     no_residual half"
            .into(),
        "norm" => "params norm_weight no_norm_weight layer_bias no_layer_bias residual no_residual half".into(),
        "embed" => "params learned_positions no_learned_positions half".into(),
        "locate" => "params heads half".into(),
        _ => panic!("a new kernel: list its parts here"),
    }
}

const READ: &str = "f32 vec4<f32> u32 vec2<u32> f16 vec4<f16>";
const WRITTEN: &str = "f32 vec4<f32> atomic<u32> vec2<u32> f16 vec4<f16>";

/// Tensors whose elements are read and written in several ways, with all element types, and constants, with all values.
fn choices(kernel: &str) -> &'static [(&'static str, &'static str)] {
    const DIMS: &str = "1 5 40 64 80 96 128 256 512";
    const VALUE_DIMS: &str = "1 5 7 40 64 68 80 128 132 256 260 512";
    match kernel {
        "matrix" => &[
            ("q", "f16 vec4<f16>"),
            ("out", "f16 vec4<f16> vec2<u32> atomic<u32> vec4<f32>"),
            ("HEAD_DIM", "1 5 40 64 80 128"),
            ("VALUE_DIM", "1 5 7 40 64 80 128"),
            ("T", "8 16"),
            ("GROUPS", "2 4"),
            ("MASKED", "false true"),
            ("PARTIAL", "false true"),
        ],
        "row" => &[
            ("q", READ),
            ("k", READ),
            ("v", READ),
            ("out", WRITTEN),
            ("HEAD_DIM", "1 5 40 64 80 128"),
            ("VALUE_DIM", "1 5 7 40 64 80 128"),
            ("RM", "1 2 4"),
            ("RN", "1 2 4 8"),
            ("MASKED", "false true"),
            ("PARTIAL", "false true"),
            ("BIAS_TYPE", "0 1 2"),
            ("KEEP_BITS", "1 8"),
        ],
        "tile" | "decode" => &[
            ("q", READ),
            ("k", READ),
            ("v", READ),
            ("out", WRITTEN),
            ("HEAD_DIM", DIMS),
            ("VALUE_DIM", VALUE_DIMS),
            ("MASKED", "false true"),
            ("PARTIAL", "false true"),
            ("BIAS_TYPE", "0 1 2"),
            ("KEEP_BITS", "1 8"),
        ],
        "measure" => &[("q", READ), ("HEAD_DIM", DIMS), ("RANGES", "0 2"), ("MASKED", "false true")],
        "receive" => &[("q", READ), ("HEAD_DIM", DIMS), ("MASKED", "false true")],
        "pool" => &[("q", READ), ("HEAD_DIM", DIMS), ("MAXIMUM", "false true"), ("MASKED", "false true")],
        "top" => &[("q", READ), ("HEAD_DIM", DIMS), ("TOP", "5"), ("MASKED", "false true")],
        "scores" => &[
            ("q", READ),
            ("k", READ),
            ("HEAD_DIM", DIMS),
            ("STAGE", "0 1 2"),
            ("MASKED", "false true"),
            ("BIAS_TYPE", "0 1 2"),
            ("KEEP_BITS", "1 8"),
        ],
        "classify" => &[("BIAS_TYPE", "0 1 2"), ("KEEP_BITS", "1 8"), ("BLOCK", "16 64 256"), ("PAIRED", "false true")],
        "merge" => &[("parts", "f32 vec4<f32>"), ("out", WRITTEN), ("PARTS_ARE_SUMS", "false true")],
        "locate" => &[("k", READ), ("out", WRITTEN)],
        "rotary" => &[("q", READ), ("out", WRITTEN), ("INTERLEAVED", "false true")],
        "linear" => &[
            ("x", READ),
            ("weight", READ),
            ("residual", READ),
            ("layer_bias", "f32 vec4<f32>"),
            ("out", WRITTEN),
            ("ACTIVATION", "0 1 2 3 4"),
            ("RM", "1 2 4"),
            ("COLS", "1 2 4"),
            ("T", "8 16"),
            ("SHARED_KEYS", "0 4 8"),
        ],
        "norm" => {
            &[("x", READ), ("residual", READ), ("out", WRITTEN), ("CENTRED", "false true"), ("UNIT", "false true")]
        }
        "embed" => &[("table", READ), ("positions", READ), ("out", WRITTEN)],
        _ => &[],
    }
}

fn of(name: &str) -> impl Iterator<Item = &'static Reflected> + '_ {
    KERNELS.iter().filter(move |reflected| reflected.kernel.shader().name() == name)
}

fn set(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(String::from).collect()
}

/// What a text declares under a name: the element type of a storage array, or the value of a constant.
fn declared(wgsl: &str, name: &str) -> Option<String> {
    let array = format!("> {name}: array<");
    let constant = format!("const {name} = ");
    wgsl.lines().find_map(|line| {
        let element = line.split_once(&array).and_then(|(_, rest)| rest.strip_suffix(">;"));
        let value = line.strip_prefix(&constant).map(|rest| rest.trim_end_matches([';', 'u']));
        Some(element.or(value)?.to_string())
    })
}

#[test]
fn every_kernel_is_among_them() {
    let names: BTreeSet<_> = KERNELS.iter().map(|reflected| reflected.kernel.shader().name()).collect();
    assert_eq!(names, Kernel::names().collect::<BTreeSet<_>>());
    for name in Kernel::names() {
        println!("{:>4} {name} kernels", of(name).count());
    }
    println!("{:>4} kernels parse and validate", KERNELS.len());
    let largest = KERNELS.iter().map(|reflected| reflected.kernel.shader().workgroup().bytes).max();
    assert!(largest > Some(16384), "no kernel takes more than the least workgroup memory");
}

#[test]
fn every_part_is_among_them() {
    let files = shader_files();
    for kernel in Kernel::names() {
        let used =
            files.iter().filter(|(_, text)| of(kernel).any(|r| r.source.wgsl.contains(text))).map(|(name, _)| name);
        let listed = set(&format!("{} {kernel}", parts(kernel)));
        assert_eq!(used.cloned().collect::<BTreeSet<_>>(), listed, "parts of {kernel}");
    }
}

#[test]
fn every_type_and_constant_is_among_them() {
    for kernel in Kernel::names() {
        for (name, wanted) in choices(kernel) {
            let found: BTreeSet<_> = of(kernel).filter_map(|r| declared(&r.source.wgsl, name)).collect();
            assert_eq!(found, set(wanted), "{name} of {kernel}");
        }
    }
    assert_eq!(declared("const A = 12u;\n@group(0) var<storage, read> a: array<vec4<f16>>;", "A"), Some("12".into()));
    assert_eq!(declared("@group(0) var<storage, read> a: array<vec4<f16>>;", "a"), Some("vec4<f16>".into()));
    assert_eq!(declared("const AB = true;\n// > A: array<f32>", "A"), None);
}

#[test]
fn every_dimension_is_read_in_both_ways() {
    for (kernel, tensor, size) in [
        ("tile", "q", "HEAD_DIM"),
        ("scores", "q", "HEAD_DIM"),
        ("tile", "out", "VALUE_DIM"),
        ("decode", "q", "HEAD_DIM"),
    ] {
        // Partial outputs are whole vec4 whatever the dimension.
        let whole = |r: &&Reflected| declared(&r.source.wgsl, "PARTIAL").is_none_or(|partial| partial == "false");
        for dim in ["1", "5", "40", "64", "80", "128", "256", "512"] {
            for access in ["read", "read_write"] {
                let keys = format!("<storage, {access}> k: ");
                let has =
                    |r: &Reflected, name, wanted| declared(&r.source.wgsl, name).is_some_and(|found| found == wanted);
                let with = |element| {
                    let mut same =
                        of(kernel).filter(whole).filter(|r| has(r, size, dim) && r.source.wgsl.contains(&keys));
                    same.any(|r| has(r, tensor, element))
                };
                assert!(with("f32"), "no scalar {tensor} of {kernel}, {size} {dim}, {access}");
                let four = !["1", "5"].contains(&dim);
                assert_eq!(with("vec4<f32>"), four, "{tensor} of {kernel}, {size} {dim}, {access}, four at a time");
            }
        }
    }
}

/// Where a buffer is shared, each binding is writable; and each kernel is there for both.
#[test]
fn both_kinds_of_buffers_are_among_them() {
    for kernel in Kernel::names().filter(|kernel| *kernel != "clear") {
        let reads = |r: &Reflected| r.source.wgsl.contains("<storage, read> ");
        assert!(of(kernel).any(reads), "no {kernel} that only reads");
        assert!(of(kernel).any(|r| !reads(r)), "no {kernel} over a shared buffer");
    }
}
