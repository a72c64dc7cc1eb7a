//! Joins WGSL parts behind a preamble of constants: the only place that makes WGSL text.

use crate::{spec::Spec, tensor::Tensor};

/// Declares one `&str` per shared part of shaders/.
macro_rules! parts {
    ($($NAME:ident = $file:literal,)*) => {
        $(pub(crate) const $NAME: &str = include_str!(concat!("../shaders/", $file));)*
    };
}

parts! {
    PARAMS = "params.wgsl",
    SCORE = "score.wgsl",
    SOFTMAX_ROW = "softmax_row.wgsl",
    TILE = "tile.wgsl",
    TILE_SCORES = "tile_scores.wgsl",
    TILE_VALUES = "tile_values.wgsl",
    WEIGHTS = "weights.wgsl",
    LSE = "lse.wgsl",
    NO_LSE = "no_lse.wgsl",
    QK_VEC4 = "qk_vec4.wgsl",
    QK_SCALAR = "qk_scalar.wgsl",
    V_VEC4 = "v_vec4.wgsl",
    V_SCALAR = "v_scalar.wgsl",
}

/// The parts that depend on the problem and not on the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parts {
    head_dim: u32,
    value_dim: u32,
    qk_vec4: bool,
    v_vec4: bool,
    lse: bool,
    shared_buffer: bool,
}

impl Parts {
    pub(crate) fn of(spec: &Spec) -> Self {
        let vec4 = |tensor| spec.view(tensor).is_some_and(|view| view.layout.is_vec4(view.sizes));
        Self {
            head_dim: spec.shape().head_dim,
            value_dim: spec.shape().value_dim,
            qk_vec4: vec4(Tensor::Q) && vec4(Tensor::K),
            v_vec4: vec4(Tensor::V) && vec4(Tensor::Out),
            lse: spec.lse,
            shared_buffer: spec.shared_buffer,
        }
    }

    pub(crate) const fn qk(&self) -> &'static str {
        if self.qk_vec4 { QK_VEC4 } else { QK_SCALAR }
    }

    pub(crate) const fn v(&self) -> &'static str {
        if self.v_vec4 { V_VEC4 } else { V_SCALAR }
    }

    pub(crate) const fn lse(&self) -> &'static str {
        if self.lse { LSE } else { NO_LSE }
    }

    /// How elements are read and written, in words.
    pub(crate) const fn loads(&self) -> &'static str {
        match (self.qk_vec4, self.v_vec4) {
            (true, true) => "four elements at a time",
            (true, false) => "q and k four elements at a time, v and out one",
            (false, true) => "q and k one element at a time, v and out four",
            (false, false) => "one element at a time",
        }
    }

    /// The same parts for a kernel that never writes the log-sum-exp.
    pub(crate) const fn without_lse(self) -> Self {
        Self { lse: false, ..self }
    }

    /// The same parts for a kernel that reads no row of a head.
    pub(crate) const fn only_lse(self) -> Self {
        Self { head_dim: 1, value_dim: 1, qk_vec4: false, v_vec4: false, ..self }
    }

    /// Starts a text with the constants that every kernel has.
    pub(crate) fn text(&self) -> Text {
        Text { wgsl: String::new(), shared_buffer: self.shared_buffer }
            .constant("HEAD_DIM", self.head_dim)
            .constant("VALUE_DIM", self.value_dim)
    }
}

/// WGSL under construction: constants, then parts. Declarations may stand in any order, so joining is linking.
pub(crate) struct Text {
    wgsl: String,
    shared_buffer: bool,
}

impl Text {
    pub(crate) fn constant(mut self, name: &str, value: u32) -> Self {
        self.wgsl += &format!("const {name} = {value}u;\n");
        self
    }

    pub(crate) fn join(mut self, parts: &[&str]) -> String {
        for part in parts {
            self.wgsl += "\n";
            self.wgsl += part;
        }
        // One dispatch may not bind a buffer both as read-only and as writable.
        if self.shared_buffer { self.wgsl.replace("<storage, read>", "<storage, read_write>") } else { self.wgsl }
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
