//! Which kernels compute a problem, in what dispatches.

use std::{fmt, str::FromStr};

use super::{Aggregate, Kernel, Prefill, Scores, Softmax, Workgroup};
use crate::{
    caps::Caps,
    error::Error,
    mask::Band,
    params::{Params, strides},
    shader::{Kind, declared},
    shape::ScoreStage,
    spec::Spec,
    tensor::Tensor,
    view::View,
};

/// Most floating-point operations of one dispatch: 0.2 s at 100 GFLOP/s, far below every watchdog (2 s on Windows).
const STEP_FLOPS: u64 = 1 << 34;

/// The same on a discrete GPU: 0.2 s at 700 GFLOP/s, and enough workgroups to fill it.
const DISCRETE_STEP_FLOPS: u64 = 1 << 37;

/// Most workgroups of a kernel, all dispatches together: their numbers are 32-bit.
const MAX_ITEMS: u64 = 1 << 31;

/// Most dispatches of a program: 16 MiB of parameters, 10^15 operations.
const MAX_STEPS: usize = 1 << 16;

/// A way to compute attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// One fused kernel, `prefill`: memory proportional to the lengths, not to their product.
    Prefill,
    /// `scores`, `softmax`, `aggregate`: the attention weights are in memory, for those who ask for them.
    Stages,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Prefill, Self::Stages];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Stages => "stages",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| format!("no algorithm {name:?}; there are: {}", known()))
    }
}

/// One kernel of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// The kernel.
    pub kernel: Kernel,
    /// Which tensor its `weights` binding is, where it has one.
    pub weights: Option<Tensor>,
    /// The keys that it takes for visible.
    pub band: Band,
}

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Index of its stage.
    pub stage: usize,
    /// Workgroups along x and y.
    pub grid: [u32; 2],
    /// Its parameters.
    pub params: Params,
}

/// The kernels that compute a problem, and their dispatches in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The way it computes.
    pub algorithm: Algorithm,
    /// Why this way.
    pub because: &'static str,
    /// Its kernels, in order.
    pub stages: Vec<Stage>,
    /// Its dispatches, in order.
    pub steps: Vec<Step>,
    /// Bytes of scratch memory.
    pub workspace_bytes: u64,
}

impl Program {
    /// The program for `spec`, by the forced algorithm or the one that gives what the spec asks for in the least memory.
    pub fn new(spec: &Spec, caps: &Caps, forced: Option<Algorithm>) -> Result<Self, Error> {
        spec.check()?;
        let (algorithm, because) = match forced {
            Some(algorithm) => (algorithm, "the caller asked for it"),
            None if spec.weights => (Algorithm::Stages, "the attention weights were asked for"),
            None => (Algorithm::Prefill, "one pass, and no memory for the attention weights"),
        };
        Self::by(algorithm, because, spec, caps)
    }

    fn by(algorithm: Algorithm, because: &'static str, spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let mut program = Self { algorithm, because, stages: vec![], steps: vec![], workspace_bytes: 0 };
        for (kernel, weights, band) in kernels(algorithm, spec, caps)? {
            check_storage_buffers(&kernel, caps)?;
            let params = Params {
                weights_at: weights.map_or([0; 4], |view| strides(&view.layout)),
                band_lo: band.lo,
                band_hi: band.hi,
                ..Params::of(spec)
            };
            let dispatches = dispatches(program.stages.len(), &kernel, params, spec, caps)?;
            let steps = program.steps.len() + dispatches.len();
            if steps > MAX_STEPS {
                return Err(Error::TooLarge {
                    name: "the number of dispatches",
                    got: steps as u64,
                    max: MAX_STEPS as u64,
                });
            }
            program.steps.extend(dispatches);
            program.stages.push(Stage { kernel, weights: weights.map(|view| view.tensor), band });
            if let Some(workspace) = weights.filter(|view| view.tensor == Tensor::Workspace) {
                program.workspace_bytes = workspace.bytes()?;
            }
        }
        program.check_bindings(spec, caps)?;
        Ok(program)
    }

    fn check_bindings(&self, spec: &Spec, caps: &Caps) -> Result<(), Error> {
        let workspace = (self.workspace_bytes > 0).then(|| spec.pairs(Tensor::Workspace));
        for view in spec.views().chain(workspace) {
            let (name, bytes, max) = (view.tensor.name(), view.bytes()?, caps.binding_bytes);
            if bytes > max {
                return Err(Error::BindingLimit { name, bytes, max });
            }
        }
        Ok(())
    }
}

/// The kernels of an algorithm in order: each with what its `weights` binding is, and the keys that it takes for visible.
fn kernels(algorithm: Algorithm, spec: &Spec, caps: &Caps) -> Result<Vec<(Kernel, Option<View>, Band)>, Error> {
    let band = spec.band();
    let mut kernels = match algorithm {
        Algorithm::Prefill => vec![(Kernel::Prefill(Prefill::new(spec, caps)?), None, band)],
        Algorithm::Stages => {
            let weights = Some(spec.pairs(if spec.weights { Tensor::Weights } else { Tensor::Workspace }));
            vec![
                (Kernel::Scores(Scores::new(spec, caps)?), weights, band),
                (Kernel::Softmax(Softmax::new(spec, caps)?), weights, band),
                (Kernel::Aggregate(Aggregate::new(spec, caps)?), weights, band),
            ]
        }
    };
    if let Some(stage) = spec.scores {
        let band = if stage == ScoreStage::Masked { band } else { Band::FULL };
        kernels.push((Kernel::Scores(Scores::new(spec, caps)?), Some(spec.pairs(Tensor::Scores)), band));
    }
    Ok(kernels)
}

fn check_storage_buffers(kernel: &Kernel, caps: &Caps) -> Result<(), Error> {
    let declared = declared(&kernel.shader().source());
    let needs = declared.iter().filter(|declared| declared.kind != Kind::Uniform).count();
    if needs > caps.storage_buffers as usize {
        let because = format!("it binds {needs} storage buffers, the device {}", caps.storage_buffers);
        return Err(Error::Kernel { kernel: kernel.shader().name(), because });
    }
    Ok(())
}

/// The work of one kernel, cut into dispatches that neither the grid nor a watchdog refuses.
fn dispatches(
    stage: usize,
    kernel: &Kernel,
    params: Params,
    spec: &Spec,
    caps: &Caps,
) -> Result<impl ExactSizeIterator<Item = Step> + use<>, Error> {
    let shape = spec.shape();
    let Workgroup { rows, .. } = kernel.shader().workgroup();
    let blocks = shape.q_len.div_ceil(rows);
    let items = (u64::from(shape.batch) * u64::from(shape.q_heads)).saturating_mul(blocks.into());
    if items > MAX_ITEMS {
        return Err(Error::TooLarge { name: "the number of workgroups", got: items, max: MAX_ITEMS });
    }
    let item_flops = u64::from(rows) * u64::from(shape.kv_len) * kernel.shader().flops_per_pair(shape);
    let limit = u64::from(caps.workgroups.max(1));
    let step_flops = if caps.discrete { DISCRETE_STEP_FLOPS } else { STEP_FLOPS };
    let most = (step_flops / item_flops).clamp(1, limit.pow(2));
    let steps = items.div_ceil(most) as usize;
    Ok((0..steps).map(move |step| {
        let first = step as u64 * most;
        let end = items.min(first + most);
        let y = (end - first).div_ceil(limit);
        let x = (end - first).div_ceil(y);
        let params = Params { blocks, first: first as u32, end: end as u32, grid_x: x as u32, ..params };
        Step { stage, grid: [x as u32, y as u32], params }
    }))
}
