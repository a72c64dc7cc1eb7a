//! Joins WGSL parts behind a preamble of constants: the only place that makes WGSL text.

use crate::{dtype::DType, view::View};

/// Declares one `&str` per shared part of shaders/.
macro_rules! parts {
    ($($NAME:ident = $file:literal,)*) => {
        $(pub(crate) const $NAME: &str = include_str!(concat!("../shaders/", $file));)*
    };
}

parts! {
    PARAMS = "params.wgsl",
    WORKSPACE = "workspace.wgsl",
    HALF = "half.wgsl",
    SCORE = "score.wgsl",
    SOFTCAP = "softcap.wgsl",
    NO_SOFTCAP = "no_softcap.wgsl",
    ALIBI = "alibi.wgsl",
    NO_ALIBI = "no_alibi.wgsl",
    BIAS = "bias.wgsl",
    NO_BIAS = "no_bias.wgsl",
    KEEP = "keep.wgsl",
    NO_KEEP = "no_keep.wgsl",
    BLOCK_MASK = "block_mask.wgsl",
    NO_BLOCK_MASK = "no_block_mask.wgsl",
    SINKS = "sinks.wgsl",
    NO_SINKS = "no_sinks.wgsl",
    SOFTMAX_ROW = "softmax_row.wgsl",
    STATE = "state.wgsl",
    NO_STATE = "no_state.wgsl",
    LSE = "lse.wgsl",
    NO_LSE = "no_lse.wgsl",
    CLASSES = "classes.wgsl",
    NO_CLASSES = "no_classes.wgsl",
    HEADS = "heads.wgsl",
    ROWS = "rows.wgsl",
    ROW_GROUPS = "row_groups.wgsl",
    BLOCK = "block.wgsl",
    BLOCK_DENSE = "block_dense.wgsl",
    BLOCK_LENGTHS = "block_lengths.wgsl",
    BLOCK_PACKED = "block_packed.wgsl",
    LANES = "lanes.wgsl",
    COLUMNS = "columns.wgsl",
    PAIRS = "pairs.wgsl",
    FINISH = "finish.wgsl",
    ROW_ALONE = "row_alone.wgsl",
    ROW_SHUFFLE = "row_shuffle.wgsl",
    ROW_SCORES = "row_scores.wgsl",
    FEW_ROWS = "few_rows.wgsl",
    TILE_SCORES = "tile_scores.wgsl",
    TILE_VALUES = "tile_values.wgsl",
    NO_V = "no_v.wgsl",
    NO_OUT = "no_out.wgsl",
    NO_VALUES = "no_values.wgsl",
    NO_PARTS = "no_parts.wgsl",
    WEIGHTS = "weights.wgsl",
    RAW = "raw.wgsl",
    WEIGH = "weigh.wgsl",
    KV_LENS = "kv_lens.wgsl",
    ANGLES = "angles.wgsl",
    NO_ANGLES = "no_angles.wgsl",
    ANGLES_ROWS = "angles_rows.wgsl",
    ANGLES_IDS = "angles_ids.wgsl",
    ANGLES_APPENDED = "angles_appended.wgsl",
    TO_SAME = "to_same.wgsl",
    TO_CACHE = "to_cache.wgsl",
    ROW_DENSE = "row_dense.wgsl",
    ROW_PACKED = "row_packed.wgsl",
    PART_STATE = "part_state.wgsl",
    PART_LSES = "part_lses.wgsl",
    LINEAR_TILE = "linear_tile.wgsl",
    LINEAR_ROWS = "linear_rows.wgsl",
    LINEAR_FEW = "linear_few.wgsl",
    LINEAR_MATRIX = "linear_matrix.wgsl",
    ACTIVATION = "activation.wgsl",
    SHIFT = "shift.wgsl",
    NO_SHIFT = "no_shift.wgsl",
    RESIDUAL = "residual.wgsl",
    NO_RESIDUAL = "no_residual.wgsl",
    GAIN = "gain.wgsl",
    NO_GAIN = "no_gain.wgsl",
    PLACES = "places.wgsl",
    NO_PLACES = "no_places.wgsl",
    DOT = "dot.wgsl",
    ADDITIVE = "additive.wgsl",
    HEAD_SCALES = "head_scales.wgsl",
    NO_HEAD_SCALES = "no_head_scales.wgsl",
    GRID = "grid.wgsl",
    NO_GRID = "no_grid.wgsl",
    GRID_BIAS = "grid_bias.wgsl",
    NO_GRID_BIAS = "no_grid_bias.wgsl",
}

/// How the rows of a tensor are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    dtype: DType,
    /// As 16-bit floats, not as halves of 32-bit words.
    native: bool,
    /// Four elements at a time, not one.
    vec4: bool,
}

impl Access {
    /// The fastest access to a tensor on a device with or without 16-bit floats.
    pub(crate) fn of(view: &View, f16: bool) -> Self {
        Self { dtype: view.dtype, native: f16 && view.dtype == DType::F16, vec4: view.layout.is_vec4(view.sizes) }
    }

    /// In words, for reports.
    pub(crate) const fn words(self) -> &'static str {
        match (self.dtype, self.native, self.vec4) {
            (DType::F16, true, true) => "f16, four at a time",
            (DType::F16, true, false) => "f16, one at a time",
            (DType::F16, false, true) => "f16 in words, four at a time",
            (DType::F16, false, false) => "f16 in words, one at a time",
            (DType::Bf16, _, true) => "bf16 in words, four at a time",
            (DType::Bf16, _, false) => "bf16 in words, one at a time",
            (_, _, true) => "f32, four at a time",
            (_, _, false) => "f32, one at a time",
        }
    }

    const fn halves(self) -> bool {
        matches!(self.dtype, DType::F16 | DType::Bf16) && !self.native
    }

    /// The WGSL type of one element of the array.
    const fn element(self) -> &'static str {
        match (self.halves(), self.native, self.vec4) {
            (true, _, true) => "vec2<u32>",
            (true, _, false) => "u32",
            (_, true, true) => "vec4<f16>",
            (_, true, false) => "f16",
            (_, _, true) => "vec4<f32>",
            (_, _, false) => "f32",
        }
    }
}

/// WGSL under construction: constants, then parts. Declarations may stand in any order, so joining is linking.
pub(crate) struct Text {
    wgsl: String,
    shared_buffer: bool,
    /// Whether a tensor is of 16-bit floats, and whether the device's own are used.
    half: bool,
    native: bool,
    matrices: bool,
}

impl Text {
    pub(crate) const fn new(shared_buffer: bool) -> Self {
        Self { wgsl: String::new(), shared_buffer, half: false, native: false, matrices: false }
    }

    fn uses(&mut self, access: Access) {
        self.half |= access.dtype != DType::F32;
        self.native |= access.native;
    }

    pub(crate) fn constant(mut self, name: &str, value: u32) -> Self {
        self.wgsl += &format!("const {name} = {value}u;\n");
        self
    }

    pub(crate) fn flag(mut self, name: &str, value: bool) -> Self {
        self.wgsl += &format!("const {name} = {value};\n");
        self
    }

    /// Names the cooperative matrices of this size: two kinds of factors of 16-bit floats, and 32-bit sums.
    pub(crate) fn matrices(mut self, size: u32) -> Self {
        (self.matrices, self.native) = (true, true);
        for (name, element, role) in [("MatrixA", "f16", "A"), ("MatrixB", "f16", "B"), ("MatrixC", "f32", "C")] {
            self.wgsl += &format!("alias {name} = coop_mat{size}x{size}<{element}, {role}>;\n");
        }
        self
    }

    /// Declares a tensor of rows and `load_NAME(row, d)`, which gives elements `4 d..4 d + 4` of the row that starts at element
    /// `row` as f32, zeros past the constant `dim`.
    ///
    /// Written here, and not in files: tensors, types and widths vary independently.
    pub(crate) fn load(self, name: &str, binding: u32, access: Access, dim: &str) -> Self {
        self.load_from("read", name, binding, access, dim)
    }

    /// [`load`](Self::load) from a buffer of which another part is written: it must be declared writable as well.
    pub(crate) fn load_from(mut self, space: &str, name: &str, binding: u32, access: Access, dim: &str) -> Self {
        let (element, dtype) = (access.element(), access.dtype);
        let body = match (access.halves(), access.vec4) {
            (true, true) => format!("return floats_of_{dtype}({name}[row / 4 + d]);"),
            (false, true) => format!("return vec4<f32>({name}[row / 4 + d]);"),
            (halves, false) => {
                let x = if halves { format!("float_of_{dtype}({name}[i / 2], i)") } else { format!("f32({name}[i])") };
                format!(
                    "var four = vec4<f32>();\n  for (var e = 0u; e < min({dim} - 4 * d, 4); e++) {{\n    \
                     let i = row + 4 * d + e;\n    four[e] = {x};\n  }}\n  return four;"
                )
            }
        };
        self.uses(access);
        self.wgsl += &format!(
            "\n@group(0) @binding({binding}) var<storage, {space}> {name}: array<{element}>;\n\
             \nfn load_{name}(row: u32, d: u32) -> vec4<f32> {{\n  {body}\n}}\n"
        );
        self
    }

    /// Declares out and `store_out(row, d, x)`, which writes elements `4 d..4 d + 4` of a row, none past `VALUE_DIM`.
    ///
    /// Two rows may share a word of halves: each element is then exchanged alone, and atomically.
    pub(crate) fn store_out(mut self, access: Access) -> Self {
        let (element, dtype) = (access.element(), access.dtype);
        let (element, body) = match (access.halves(), access.vec4) {
            (true, true) => (element, format!("out[row / 4 + d] = {dtype}_of(x);")),
            (false, true) if access.native => (element, "out[row / 4 + d] = vec4<f16>(in_f16(x));".into()),
            (false, true) => (element, "out[row / 4 + d] = x;".into()),
            (halves, false) => {
                let store = match (halves, access.native) {
                    (true, _) => format!(
                        "let half = ({dtype}_of(x)[e / 2] >> (16 * (e % 2))) & 0xffff;\n    \
                         atomicAnd(&out[i / 2], 0xffff0000u >> (16 * (i % 2)));\n    \
                         atomicOr(&out[i / 2], half << (16 * (i % 2)));"
                    ),
                    (_, true) => "out[i] = f16(in_f16(x)[e]);".into(),
                    (_, false) => "out[i] = x[e];".into(),
                };
                let element = if halves { "atomic<u32>" } else { element };
                let each = "for (var e = 0u; e < min(VALUE_DIM - 4 * d, 4); e++) {\n    let i = row + 4 * d + e;";
                (element, format!("{each}\n    {store}\n  }}"))
            }
        };
        self.uses(access);
        self.wgsl += &format!(
            "\n@group(0) @binding(4) var<storage, read_write> out: array<{element}>;\n\
             \nfn store_out(row: u32, d: u32, x: vec4<f32>) {{\n  {body}\n}}\n"
        );
        self
    }

    pub(crate) fn join(mut self, parts: &[&str]) -> Self {
        for part in parts {
            self.wgsl += "\n";
            self.wgsl += part;
        }
        self
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        let mut enable = String::from(if self.native { "enable f16;\n" } else { "" });
        if self.matrices {
            // The second for matrices behind conditions that are uniform, which naga cannot see.
            enable += "enable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\n";
        }
        let half = if self.half { HALF } else { "" };
        let wgsl = format!("{enable}{}\n{half}", self.wgsl);
        // One dispatch may not bind a buffer both as read-only and as writable.
        if self.shared_buffer { wgsl.replace("<storage, read>", "<storage, read_write>") } else { wgsl }
    }
}

/// What a `@group(0)` binding of a joined text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `var<uniform>`: [`Params`](crate::params::Params).
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// One binding that a joined text declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its number, the same in all kernels.
    pub binding: u32,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// The bindings of a joined text, by reading the lines that declare them: a pipeline layout holds no others.
#[must_use]
pub fn declared(wgsl: &str) -> Vec<Declared> {
    let parse = |line: &str| {
        let (binding, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(") var<")?;
        let (space, rest) = rest.split_once("> ")?;
        let kind = match space {
            "uniform" => Kind::Uniform,
            "storage, read" => Kind::Read,
            _ => Kind::ReadWrite,
        };
        Some(Declared { binding: binding.parse().ok()?, kind, name: rest.split_once(':')?.0.into() })
    };
    wgsl.lines().filter_map(parse).collect()
}
