//! Row: whole query rows in the registers of each invocation, no workgroup memory. Shader `shaders/forward/row.wgsl`, twin
//! [`reference::tiled`](crate::reference::tiled).

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{
        forward::pass::ForwardPass,
        lanes::Lanes,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{parts, source::Source},
    tensor::{dtype::DType, view::View},
};

/// Past these, on CPUs and on GPUs, drivers leave the loops over a row rolled, or its registers spill.
pub(crate) const MAX_DIM: [u32; 2] = [128, 64];

/// Most vec4 of queries and output that an invocation of a CPU device holds: 4 rows of 64 + 64, 2 of 128 + 128. Five rows of
/// 64 + 64 are a third slower, and compile twice as long.
const MAX_VEC4S: u32 = 128;

/// Keys of a tile, for tile classes.
const KEYS: u32 = 32;

/// A row kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pass: ForwardPass,
    lanes: Lanes,
    /// Whether neighbours in a subgroup load keys for each other.
    shuffle: bool,
}

impl Row {
    /// Its name.
    pub const NAME: &'static str = "row";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let (shape, cpu) = (spec.shape(), caps.kind == DeviceKind::Cpu);
        let most = MAX_DIM[usize::from(!cpu)];
        for (name, dim) in [("head_dim", shape.head_dim), ("value_dim", shape.value_dim)] {
            if dim > most {
                let because = format!("{name} {dim} is above {most}, and a row must fit registers");
                return Err(Error::Kernel { kernel: Self::NAME, because });
            }
        }
        let ty = if cpu { 16 } else { 64 };
        if ty > caps.invocations {
            let because = format!("it needs {ty} invocations, the device has {}", caps.invocations);
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        // What a GPU loads from one address for all costs it little; and it has no registers for more keys.
        let neighbours = if cpu { caps.neighbours() } else { 0 };
        let shuffle = neighbours > 0;
        let rn = if shuffle {
            neighbours
        } else if cpu {
            2
        } else {
            1
        };
        // More rows use each key more often. 16-bit words are cheap to load, and long to compile; so is a tanh, beside which loads
        // cost little: four rows are a tenth faster than two, and compile for 8 seconds in the place of 2.
        let mut rm = match (cpu && caps.unrolls, shuffle && spec.types.kv == DType::F32 && !spec.additive) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 4,
        };
        let vec4s = shape.head_dim.div_ceil(4) + shape.value_dim.div_ceil(4);
        let rows = u64::from(shape.q_len) * u64::from(spec.heads_sharing());
        while rm > 1 && (rm * vec4s > MAX_VEC4S || rows <= u64::from(ty * rm / 2)) {
            rm /= 2;
        }
        // Software drivers gather 16-bit words one by one, and compile that for seconds: 32-bit words it is.
        let words = Caps { f16: caps.f16 && !cpu, ..caps.clone() };
        Ok(Self { pass: ForwardPass::new(spec, &words, ty * rm)?, lanes: Lanes { tx: 1, ty, rm, rn }, shuffle })
    }

    pub(crate) fn partial(self, out: &View) -> Self {
        Self { pass: self.pass.partial(out), ..self }
    }

    /// Keys that are scored at a time: the tiles of its twin.
    #[must_use]
    pub const fn keys_at_a_time(&self) -> u32 {
        self.lanes.rn
    }
}

impl Shader for Row {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/forward/row.wgsl");
        let text = self.pass.text(self.workgroup(), self.lanes).constant("SHARED_KEYS", self.lanes.rn);
        text.join(&[parts::COLUMNS, if self.shuffle { parts::ROW_SHUFFLE } else { parts::ROW_ALONE }, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs { subgroups: self.shuffle, ..self.pass.needs() }
    }

    fn workgroup(&self) -> Workgroup {
        let Lanes { ty, rm, .. } = self.lanes;
        let (bytes, grouped) = (self.pass.scoring.shared_bytes(), self.pass.scoring.is_grouped());
        Workgroup { invocations: ty, bytes, rows: ty * rm, keys: KEYS, grouped }
    }

    fn loads(&self) -> String {
        let shared = if self.shuffle { "; keys shuffled between neighbours" } else { "" };
        self.pass.loads() + shared
    }
}
