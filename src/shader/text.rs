//! Joins WGSL parts behind a preamble of constants and tensors: the only place that makes WGSL text.

use crate::{
    shader::{
        access::Access,
        params::Params,
        parts,
        slot::Slot,
        source::{Binding, Source},
    },
    tensor::{Tensor, dtype::DType},
};

/// Whether a tensor is only read, or written too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

/// WGSL under construction: constants and tensors, then parts. Declarations may stand in any order, so joining is linking.
///
/// A tensor carries its own address: the text that declares tensor `q` also writes `q_row(batch, head, row)`, which gives the
/// first element of a row from the place that the uniform has of it. A cache that lies in pages, say, would be a twin of that
/// one function.
pub(crate) struct Text {
    wgsl: String,
    bindings: Vec<Binding>,
    places: Vec<Slot>,
    /// One dispatch may not bind a buffer both as read-only and as writable, so a shared one is always writable.
    shared_buffer: bool,
    /// Whether a tensor is of 16-bit floats, and whether the device's own are used.
    half: bool,
    native: bool,
    matrices: bool,
}

impl Text {
    /// A text whose bindings may lie in one buffer, or not.
    pub(crate) fn new(shared_buffer: bool) -> Self {
        let text = Self {
            wgsl: String::new(),
            bindings: Vec::new(),
            places: Vec::new(),
            shared_buffer,
            half: false,
            native: false,
            matrices: false,
        };
        text.join(&[parts::PARAMS])
    }

    /// An unsigned constant.
    pub(crate) fn constant(mut self, name: &str, value: u32) -> Self {
        self.wgsl += &format!("const {name} = {value}u;\n");
        self
    }

    /// A boolean constant.
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

    /// The array of a storage buffer, without a place: what starts where the binding does.
    pub(crate) fn array(mut self, slot: impl Into<Slot>, used: Use, element: &str) -> Self {
        let slot = slot.into();
        let writable = used == Use::Write || self.shared_buffer;
        let (binding, name, space) = (slot.binding(), slot.name(), if writable { "read_write" } else { "read" });
        self.wgsl += &format!("@group(0) @binding({binding}) var<storage, {space}> {name}: array<{element}>;\n");
        self.bindings.push(Binding { slot, writable });
        self
    }

    /// The place of a tensor, which lies in an array that is declared elsewhere: `NAME_row(batch, head, row)`.
    pub(crate) fn place(mut self, slot: impl Into<Slot>) -> Self {
        let slot = slot.into();
        let (name, index) = (slot.name(), self.places.len());
        debug_assert!(index < Params::PLACES, "a text has more places than the uniform");
        self.wgsl += &format!(
            "fn {name}_row(batch: u32, head: u32, row: u32) -> u32 {{\n  \
             return row_at(params.places[{index}], batch, head, row);\n}}\n"
        );
        self.places.push(slot);
        self
    }

    /// A tensor of words or floats: its array and its place.
    pub(crate) fn tensor(self, slot: impl Into<Slot>, used: Use, element: &str) -> Self {
        let slot = slot.into();
        self.array(slot, used, element).place(slot)
    }

    /// The workspace, and places of tensors in it.
    pub(crate) fn workspace(self, slots: impl IntoIterator<Item = Slot>) -> Self {
        let text = self.array(Tensor::Workspace, Use::Write, "u32");
        slots.into_iter().fold(text, Self::place)
    }

    /// Declares a tensor of rows, and `load_NAME(row, d)`, which gives elements `4 d..4 d + 4` of the row that starts at element
    /// `row` as f32, zeros past the constant `dim`.
    ///
    /// Written here, and not in files: tensors, types and widths vary independently.
    pub(crate) fn load(self, tensor: Tensor, access: Access, dim: &str) -> Self {
        self.load_from(Use::Read, tensor, access, dim)
    }

    /// [`load`](Self::load) from a buffer of which another part is written: it must be declared writable as well.
    pub(crate) fn load_from(mut self, used: Use, tensor: Tensor, access: Access, dim: &str) -> Self {
        let (name, dtype) = (tensor.name(), access.dtype);
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
        let mut text = self.tensor(tensor, used, access.element());
        text.wgsl += &format!("fn load_{name}(row: u32, d: u32) -> vec4<f32> {{\n  {body}\n}}\n");
        text
    }

    /// Stands in for the place of a tensor that nobody asked for.
    pub(crate) fn nowhere(mut self, tensor: Tensor) -> Self {
        self.wgsl += &format!("fn {}_row(batch: u32, head: u32, row: u32) -> u32 {{ return 0; }}\n", tensor.name());
        self
    }

    /// Stands in for a tensor that nobody asked for: it has no binding, and its elements are zeros.
    pub(crate) fn load_nothing(self, tensor: Tensor) -> Self {
        let mut text = self.nowhere(tensor);
        text.wgsl += &format!("fn load_{}(row: u32, d: u32) -> vec4<f32> {{ return vec4<f32>(); }}\n", tensor.name());
        text
    }

    /// Declares out, and `store_out(row, d, x)`, which writes elements `4 d..4 d + 4` of a row, none past `VALUE_DIM`.
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
        let mut text = self.tensor(Tensor::Out, Use::Write, element);
        text.wgsl += &format!("fn store_out(row: u32, d: u32, x: vec4<f32>) {{\n  {body}\n}}\n");
        text
    }

    /// Stands in for out where nobody asked for it: nothing is stored.
    pub(crate) fn store_nothing(self) -> Self {
        let mut text = self.nowhere(Tensor::Out);
        text.wgsl += "fn store_out(row: u32, d: u32, x: vec4<f32>) {}\n";
        text
    }

    /// Joins plain files, or the text of a caller.
    pub(crate) fn join(mut self, parts: &[&str]) -> Self {
        for part in parts {
            self.wgsl += "\n";
            self.wgsl += part;
        }
        self
    }

    /// The whole text, and what it declares.
    pub(crate) fn finish(self) -> Source {
        let mut enable = String::from(if self.native { "enable f16;\n" } else { "" });
        if self.matrices {
            // The second for matrices behind conditions that are uniform, which naga cannot see.
            enable += "enable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\n";
        }
        let half = if self.half { parts::HALF } else { "" };
        let wgsl = format!("{enable}{}\n{half}", self.wgsl);
        Source { wgsl, bindings: self.bindings, places: self.places }
    }

    fn uses(&mut self, access: Access) {
        self.half |= access.dtype != DType::F32;
        self.native |= access.native;
    }
}
