//! Linear: rows times a weight matrix, and what follows. Shader `shaders/layers/linear.wgsl`, oracle
//! [`reference::linear`](crate::reference::linear).

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{
        lanes::Lanes,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::linear::{Activation, Linear},
    shader::{access::Access, params::Params, parts, source::Source, text::Text},
    tensor::{Tensor, dtype::DType},
};

/// The number of rows, on CPUs and on GPUs, up to which a block of rows would be mostly empty.
const FEW: [u32; 2] = [4, 8];

/// Rows of a block of few: what registers hold beside the weights.
const FEW_ROWS: u32 = 4;

/// vec4 of the inputs that matrices have in workgroup memory at a time: 2 matrices of 16 or 4 of 8.
const MATRIX_SLICE: u32 = 8;

/// Matrices of outputs of a block.
const MATRIX_COLUMNS: u32 = 4;

/// How a workgroup shares its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// Slices of the inputs in workgroup memory, `slice` vec4 long.
    Tile { slice: u32 },
    /// Rows of x in registers.
    Rows,
    /// A few rows, whose inputs are shared by all invocations.
    Few { rows: u32 },
    /// Cooperative matrices: rows and columns of one, matrices of rows of a subgroup, subgroups and their invocations.
    Matrix { size: u32, row_matrices: u32, subgroups: [u32; 2] },
}

/// A linear kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinearKernel {
    inputs: u32,
    outputs: u32,
    form: Form,
    lanes: Lanes,
    /// How many neighbours in a subgroup load weights for each other; 0 for none.
    neighbours: u32,
    activation: Activation,
    x: Access,
    weight: Access,
    bias: Option<Access>,
    residual: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl LinearKernel {
    /// Its name.
    pub const NAME: &'static str = "linear";

    /// The kernel for a layer, or why there is none.
    pub fn new(problem: &Linear, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        let [rows, inputs, outputs] = problem.sizes();
        let cpu = caps.kind == DeviceKind::Cpu;
        // Software drivers gather 16-bit words one by one: 32-bit words it is.
        let access = |view| Access::of(&view, caps.f16 && !cpu);
        let views = [problem.x_view(), problem.weight_view(), problem.out_view()];
        let [x, weight, out] = views.map(access);
        // Matrices multiply what is already f16, and lose nothing.
        let halves = views[..2].iter().all(|view| view.dtype == DType::F16);
        let matrix = matrix(caps).filter(|_| halves && !cpu && rows > FEW[1]);
        let (form, lanes) = matrix.map_or_else(|| form(rows, caps), Ok)?;
        Ok(Self {
            inputs,
            outputs,
            form,
            lanes,
            neighbours: if form == Form::Rows { caps.neighbours() } else { 0 },
            activation: problem.activation,
            x,
            weight,
            bias: problem.view(Tensor::LayerBias).map(access),
            residual: problem.view(Tensor::Residual).map(access),
            out,
            shared_buffer: problem.shared_buffer,
        })
    }

    /// Rows of a block.
    pub(crate) fn rows(&self) -> u32 {
        self.workgroup().rows
    }

    /// vec4 of outputs of a block.
    pub(crate) const fn columns(&self) -> u32 {
        self.lanes.tx * self.lanes.rn
    }

    /// vec4 of the inputs that lie in workgroup memory at a time; 0 for a form that has none there.
    const fn slice(&self) -> u32 {
        match self.form {
            Form::Tile { slice } => slice,
            Form::Matrix { .. } => MATRIX_SLICE,
            Form::Rows | Form::Few { .. } => 0,
        }
    }
}

/// How to share a block among matrices, the largest that fits; `None` where the device has none, or not of a known number of
/// invocations.
fn matrix(caps: &Caps) -> Option<(Form, Lanes)> {
    let size = caps.matrix.filter(|_| caps.f16)?;
    let [lanes, most] = caps.subgroups?;
    if lanes != most || !(8..=64).contains(&lanes) {
        return None;
    }
    let shared = |[groups, row_matrices]: [u32; 2]| {
        let (tx, rows) = (size / 4, groups * row_matrices * size);
        let ty = groups * lanes / tx;
        let form = Form::Matrix { size, row_matrices, subgroups: [groups, lanes] };
        (form, Lanes { tx, ty, rm: rows / ty, rn: MATRIX_COLUMNS })
    };
    let fits = |(form, lanes): &(Form, Lanes)| {
        let Workgroup { invocations, bytes, .. } = workgroup(*form, *lanes);
        // Fewer rows than invocations along them would leave some with none.
        lanes.rm > 0 && invocations <= caps.invocations && bytes <= caps.workgroup_bytes
    };
    [[4, 2], [4, 1], [2, 2], [2, 1], [1, 2], [1, 1]].map(shared).into_iter().find(fits)
}

/// What a workgroup of a form takes.
fn workgroup(form: Form, lanes: Lanes) -> Workgroup {
    let (invocations, columns) = (lanes.tx * lanes.ty, lanes.tx * lanes.rn);
    let all = lanes.ty * lanes.rm;
    let (rows, bytes) = match form {
        Form::Tile { slice } => (all, 16 * (all + 4 * columns) * (slice + 1)),
        Form::Rows => (all, 0),
        Form::Few { rows } => (rows, 16 * rows * invocations),
        Form::Matrix { size, .. } => (all, 2 * (all + 4 * columns) * (4 * MATRIX_SLICE + 8) + 4 * all * size),
    };
    Workgroup { invocations, bytes, rows, keys: 4 * columns, grouped: false }
}

/// How to share a block of `rows` rows, and among whom; `rn` of the lanes are vec4 of outputs.
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
        Error::Kernel { kernel: LinearKernel::NAME, because }
    })
}

impl Shader for LinearKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/layers/linear.wgsl");
        let text = Text::new(self.shared_buffer).constant("INPUTS", self.inputs).constant("VALUE_DIM", self.outputs);
        let text = text.constant("BR", self.rows()).constant("BC", self.columns());
        let text = text.constant("TX", self.lanes.tx).constant("TY", self.lanes.ty);
        let text = text.constant("RM", self.lanes.rm).constant("COLS", self.lanes.rn);
        let text = text.constant("SHARED_KEYS", self.neighbours).constant("GROUP", (self.neighbours / 4).max(1));
        let mut text = text.constant("ACTIVATION", self.activation as u32);
        if self.slice() > 0 {
            text = text.constant("DS", self.slice());
        }
        if let Form::Matrix { size, row_matrices, subgroups: [groups, lanes] } = self.form {
            text = text.matrices(size).constant("T", size).constant("RT", row_matrices);
            text = text.constant("GROUPS", groups).constant("SIZE", lanes);
        }
        text = text.load(Tensor::X, self.x, "INPUTS").load(Tensor::Weight, self.weight, "INPUTS").store_out(self.out);
        text = text.join_layer_bias(self.bias).join_residual(self.residual);
        let products: &[&str] = match self.form {
            Form::Tile { .. } => &[parts::ROW_ALONE, parts::LINEAR_TILE],
            Form::Rows if self.neighbours > 0 => &[parts::ROW_SHUFFLE, parts::LINEAR_ROWS],
            Form::Rows => &[parts::ROW_ALONE, parts::LINEAR_ROWS],
            Form::Few { .. } => &[parts::ROW_ALONE, parts::LINEAR_FEW],
            Form::Matrix { .. } => &[parts::LINEAR_MATRIX],
        };
        text.join(&[parts::LANES, parts::ACTIVATION]).join(products).join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        let needs = Needs::of([self.x, self.weight, self.out].into_iter().chain(self.residual));
        match self.form {
            Form::Matrix { .. } => Needs { f16: true, subgroups: true, matrices: true, checks: false },
            _ => Needs { subgroups: self.neighbours > 0, ..needs },
        }
    }

    fn loops(&self, params: Params) -> Params {
        Params { head_vec4s: self.inputs.div_ceil(4), slice_vec4s: self.slice(), ..params }
    }

    fn workgroup(&self) -> Workgroup {
        workgroup(self.form, self.lanes)
    }

    fn loads(&self) -> String {
        let shared = match self.form {
            Form::Matrix { size, .. } => format!("; {size} x {size} matrices"),
            _ if self.neighbours > 0 => "; weights shuffled between neighbours".into(),
            _ => String::new(),
        };
        format!("x {}; weight {}; out {}{shared}", self.x.words(), self.weight.words(), self.out.words())
    }
}

impl Text {
    /// What a layer adds to each row, where it adds something.
    pub(crate) fn join_layer_bias(self, bias: Option<Access>) -> Self {
        match bias {
            Some(bias) => self.load(Tensor::LayerBias, bias, "VALUE_DIM").join(&[parts::LAYER_BIAS]),
            None => self.join(&[parts::NO_LAYER_BIAS]),
        }
    }

    /// What a layer adds to each element, where it adds something.
    pub(crate) fn join_residual(self, residual: Option<Access>) -> Self {
        match residual {
            Some(residual) => self.load(Tensor::Residual, residual, "VALUE_DIM").join(&[parts::RESIDUAL]),
            None => self.join(&[parts::NO_RESIDUAL]),
        }
    }
}
