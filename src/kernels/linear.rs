//! Linear: rows times a weight matrix, and what follows. Shader `shaders/linear.wgsl`, oracle
//! [`reference::linear`](crate::reference::linear).

use super::{Shader, Workgroup, forward::Lanes};
use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    linear::{Activation, Linear as Problem},
    params::Params,
    shader::{
        ACTIVATION, Access, LANES, LINEAR_FEW, LINEAR_ROWS, LINEAR_TILE, NO_RESIDUAL, NO_SHIFT, PARAMS, RESIDUAL,
        ROW_ALONE, ROW_SHUFFLE, SHIFT, Text,
    },
    tensor::Tensor,
};

/// Up to so many rows, on CPUs and on GPUs, a block of rows would be mostly empty.
const FEW: [u32; 2] = [4, 8];

/// Rows of a block of few: what registers hold beside the weights.
const FEW_ROWS: u32 = 4;

/// How a workgroup shares its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Slices of so many vec4 of the inputs in workgroup memory.
    Tile { slice: u32 },
    /// Rows of x in registers.
    Rows,
    /// So many rows, the inputs shared by all invocations.
    Few { rows: u32 },
}

/// A linear kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linear {
    inputs: u32,
    outputs: u32,
    form: Form,
    lanes: Lanes,
    /// How many neighbours in a subgroup load weights for each other; 0 for none.
    neighbours: u32,
    activation: Activation,
    x: Access,
    weight: Access,
    shift: Option<Access>,
    residual: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl Linear {
    /// Its name.
    pub const NAME: &'static str = "linear";

    /// The kernel for a layer, or why there is none.
    pub fn new(problem: &Problem, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        let [rows, inputs, outputs] = problem.sizes();
        let cpu = caps.kind == DeviceKind::Cpu;
        // Software drivers gather 16-bit words one by one: 32-bit words it is.
        let access = |tensor| problem.view(tensor).map(|view| Access::of(&view, caps.f16 && !cpu));
        let (Some(x), Some(weight), Some(out)) = (access(Tensor::X), access(Tensor::Weight), access(Tensor::Out))
        else {
            return Err(Error::NoOutput); // every layer has all three
        };
        let (form, lanes) = form(rows, caps)?;
        Ok(Self {
            inputs,
            outputs,
            form,
            lanes,
            neighbours: if form == Form::Rows { caps.neighbours() } else { 0 },
            activation: problem.activation,
            x,
            weight,
            shift: access(Tensor::Shift),
            residual: access(Tensor::Residual),
            out,
            shared_buffer: problem.shared_buffer,
        })
    }

    /// Rows of a block.
    pub(super) const fn rows(&self) -> u32 {
        match self.form {
            Form::Few { rows } => rows,
            Form::Tile { .. } | Form::Rows => self.lanes.ty * self.lanes.rm,
        }
    }

    /// vec4 of outputs of a block.
    pub(super) const fn columns(&self) -> u32 {
        self.lanes.tx * self.lanes.rn
    }

    /// Parameters with the ends of its loops.
    pub(super) fn loops(&self, params: Params) -> Params {
        let slice_vec4s = if let Form::Tile { slice } = self.form { slice } else { 0 };
        Params { head_vec4s: self.inputs.div_ceil(4), slice_vec4s, ..params }
    }
}

/// How to share a block of so many rows, and among whom; `rn` of the lanes are vec4 of outputs.
fn form(rows: u32, caps: &Caps) -> Result<(Form, Lanes), Error> {
    let cpu = caps.kind == DeviceKind::Cpu;
    let few = Form::Few { rows: rows.min(FEW_ROWS) };
    // Weights that are shuffled are cheap, and more of them use each row more often.
    let rn = if caps.neighbours() > 0 { 4 } else { 2 };
    let rm = if caps.unrolls && rows > 8 { 2 } else { 1 };
    let candidates = match (cpu, rows <= FEW[usize::from(!cpu)]) {
        (true, true) => vec![(few, Lanes { tx: 1, ty: 8, rm: 1, rn: 1 })],
        (true, false) => vec![(Form::Rows, Lanes { tx: 1, ty: 8, rm, rn })],
        (false, true) => vec![(few, Lanes { tx: 1, ty: 64, rm: 1, rn: 1 })],
        // The slices of either take less than 16 KiB.
        (false, false) => [16, 8].map(|n| (Form::Tile { slice: 4 }, Lanes { tx: n, ty: n, rm: 4, rn: 1 })).into(),
    };
    let needs = |lanes: &Lanes| lanes.tx * lanes.ty;
    let least = candidates.iter().map(|(_, lanes)| needs(lanes)).min().unwrap_or(0);
    candidates.into_iter().find(|(_, lanes)| needs(lanes) <= caps.invocations).ok_or_else(|| {
        let because = format!("it needs {least} invocations, the device has {}", caps.invocations);
        Error::Kernel { kernel: Linear::NAME, because }
    })
}

impl Shader for Linear {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/linear.wgsl");
        let text = Text::new(self.shared_buffer).constant("INPUTS", self.inputs).constant("VALUE_DIM", self.outputs);
        let text = text.constant("BR", self.rows()).constant("BC", self.columns());
        let text = text.constant("TX", self.lanes.tx).constant("TY", self.lanes.ty);
        let text = text.constant("RM", self.lanes.rm).constant("COLS", self.lanes.rn);
        let text = text.constant("SHARED_KEYS", self.neighbours).constant("GROUP", (self.neighbours / 4).max(1));
        let mut text = text.constant("ACTIVATION", self.activation as u32);
        if let Form::Tile { slice } = self.form {
            text = text.constant("DS", slice);
        }
        text = text.load("x", 30, self.x, "INPUTS").load("weight", 31, self.weight, "INPUTS").store_out(self.out);
        text = text.join_shift(self.shift).join_residual(self.residual);
        let products = match self.form {
            Form::Tile { .. } => LINEAR_TILE,
            Form::Rows => LINEAR_ROWS,
            Form::Few { .. } => LINEAR_FEW,
        };
        text.join(&[
            PARAMS,
            LANES,
            if self.neighbours > 0 { ROW_SHUFFLE } else { ROW_ALONE },
            ACTIVATION,
            products,
            MAIN,
        ])
        .finish()
    }

    fn workgroup(&self) -> Workgroup {
        let (rows, columns, invocations) = (self.rows(), self.columns(), self.lanes.tx * self.lanes.ty);
        let bytes = match self.form {
            Form::Tile { slice } => 16 * (rows + 4 * columns) * (slice + 1),
            Form::Rows => 0,
            Form::Few { .. } => 16 * rows * invocations,
        };
        Workgroup { invocations, bytes, rows, keys: 4 * columns, grouped: false }
    }

    fn loads(&self) -> String {
        let shared = if self.neighbours > 0 { "; weights shuffled between neighbours" } else { "" };
        format!("x {}; weight {}; out {}{shared}", self.x.words(), self.weight.words(), self.out.words())
    }
}

impl Text {
    /// What a layer adds to each row, where it adds something.
    pub(super) fn join_shift(self, shift: Option<Access>) -> Self {
        match shift {
            Some(shift) => self.load("shift", 32, shift, "VALUE_DIM").join(&[SHIFT]),
            None => self.join(&[NO_SHIFT]),
        }
    }

    /// What a layer adds to each element, where it adds something.
    pub(super) fn join_residual(self, residual: Option<Access>) -> Self {
        match residual {
            Some(residual) => self.load("residual", 33, residual, "VALUE_DIM").join(&[RESIDUAL]),
            None => self.join(&[NO_RESIDUAL]),
        }
    }
}
