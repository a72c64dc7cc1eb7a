//! What a problem becomes: kernels, what each binds, and dispatches in order.

use std::ops::Range;

use super::{
    Kernel,
    algorithm::{Algorithm, Choice},
    attention,
    region::{Limits, Operand, Region},
};
use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    params::Params,
    problem::Problem,
    shader::{Kind, declared},
    tensor::Tensor,
};

/// Most floating-point operations of one dispatch: 0.2 s at 100 GFLOP/s, far below every watchdog (2 s on Windows).
const STEP_FLOPS: u64 = 1 << 34;

/// The same on a discrete GPU: 0.2 s at 700 GFLOP/s, and enough workgroups to fill it.
const DISCRETE_STEP_FLOPS: u64 = 1 << 37;

/// Most work items of a kernel, all dispatches over a region together: their numbers are 32-bit.
const MAX_ITEMS: u64 = 1 << 31;

/// Most dispatches of a program: 32 MiB of parameters, 10^15 operations.
const MAX_STEPS: usize = 1 << 16;

/// Windows start at multiples of this many bytes: that of every device, and whole vec4 of every type.
const ALIGN: u64 = 256;

/// A part of a tensor under the name that a shader has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The shader's name.
    pub binding: &'static str,
    /// The tensor.
    pub tensor: Tensor,
    /// Bytes of it.
    pub bytes: Range<u64>,
}

/// A kernel and what it binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index of the kernel.
    pub kernel: usize,
    /// What it binds beside the parameters.
    pub windows: Vec<Window>,
}

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Index of its group.
    pub group: usize,
    /// Workgroups along x and y.
    pub grid: [u32; 2],
    /// Its parameters.
    pub params: Params,
}

/// The kernels that compute a problem, what they bind, and their dispatches in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The way it computes attention; `None` for another problem.
    pub algorithm: Option<Algorithm>,
    /// Why this way.
    pub because: &'static str,
    /// Its kernels, in the order of their first use.
    pub kernels: Vec<Kernel>,
    /// What they bind.
    pub groups: Vec<Group>,
    /// Its dispatches, in order.
    pub steps: Vec<Step>,
    /// Bytes of scratch memory.
    pub workspace_bytes: u64,
    /// Most parts into which the keys of a row are cut.
    pub parts: usize,
}

impl Program {
    /// The program for a problem, by the algorithm that was chosen or the one that suits it.
    pub fn new(problem: impl Into<Problem>, caps: &Caps, choice: Choice) -> Result<Self, Error> {
        let problem = problem.into();
        problem.check()?;
        let mut builder = Builder { caps, declared: Vec::new(), program: Self { parts: 1, ..Self::default() } };
        match &problem {
            Problem::Attention(spec) => attention::build(&mut builder, spec, choice, None)?,
            Problem::Measures(measures) => attention::build(&mut builder, &measures.spec, choice, Some(measures))?,
            Problem::Rope(rope) => builder.rope(rope)?,
            Problem::Merge(merge) => builder.merge(merge)?,
            Problem::Divergence(divergence) => builder.divergence(divergence)?,
            Problem::Linear(linear) => builder.linear(linear)?,
            Problem::Norm(norm) => builder.norm(norm)?,
            Problem::Embed(embed) => builder.embed(embed)?,
            Problem::Locate(locate) => builder.locate(locate)?,
        }
        Ok(builder.program)
    }
}

/// A program under construction.
pub(super) struct Builder<'a> {
    pub(super) caps: &'a Caps,
    pub(super) program: Program,
    /// The names of the bindings of each kernel.
    declared: Vec<Vec<String>>,
}

impl Builder<'_> {
    pub(super) fn step_flops(&self) -> u64 {
        if self.caps.kind == DeviceKind::Discrete { DISCRETE_STEP_FLOPS } else { STEP_FLOPS }
    }

    pub(super) fn limits(&self, keys: u32) -> Limits {
        // Elements are numbered with 32 bits inside a window; the smallest element is a bit.
        let window = self.caps.binding_bytes.min((1 << 32) / 8);
        Limits { window: window / 4 * 4, align: ALIGN.max(self.caps.storage_align.into()), keys }
    }

    /// The bindings of a kernel over a region: those of the operands that it declares, whole tensors of others by name.
    pub(super) fn windows(&self, operands: &[Operand], region: &Region) -> Vec<Window> {
        let align = self.limits(1).align;
        let window = |operand: &Operand| Window {
            binding: operand.binding,
            tensor: operand.view.tensor,
            bytes: operand.window(region, align),
        };
        operands.iter().map(window).collect()
    }

    /// Adds the dispatches of a kernel over `items` work items, `share` of them to a workgroup, of so many operations each.
    pub(super) fn dispatch(
        &mut self,
        kernel: Kernel,
        windows: Vec<Window>,
        params: Params,
        items: u64,
        item_flops: u64,
    ) -> Result<(), Error> {
        let group = self.group(kernel, windows)?;
        if items > MAX_ITEMS {
            return Err(Error::TooLarge { name: "the number of work items", got: items, max: MAX_ITEMS });
        }
        let share = u64::from(kernel.shader().workgroup().items());
        let limit = u64::from(self.caps.workgroups.max(1));
        let most = (self.step_flops() / (item_flops * share).max(1)).clamp(1, limit.pow(2)) * share;
        let steps = self.program.steps.len() + items.div_ceil(most) as usize;
        if steps > MAX_STEPS {
            let (got, max) = (steps as u64, MAX_STEPS as u64);
            return Err(Error::TooLarge { name: "the number of dispatches", got, max });
        }
        for first in (0..items).step_by(most as usize) {
            let end = items.min(first + most);
            let workgroups = (end - first).div_ceil(share);
            let y = workgroups.div_ceil(limit);
            let x = workgroups.div_ceil(y);
            let params = Params { first: first as u32, end: end as u32, grid_x: x as u32, ..params };
            self.program.steps.push(Step { group, grid: [x as u32, y as u32], params });
        }
        Ok(())
    }

    /// The index of a kernel with these windows, of which it binds those that it declares.
    fn group(&mut self, kernel: Kernel, mut windows: Vec<Window>) -> Result<usize, Error> {
        let kernel = self.kernel(kernel)?;
        windows.retain(|window| self.declared[kernel].iter().any(|name| name == window.binding));
        let group = Group { kernel, windows };
        let groups = &mut self.program.groups;
        // A piece has its own windows, which come again only within it.
        let lately = groups.len().saturating_sub(8);
        Ok(groups[lately..].iter().position(|known| *known == group).map_or_else(
            || {
                groups.push(group);
                groups.len() - 1
            },
            |known| lately + known,
        ))
    }

    fn kernel(&mut self, kernel: Kernel) -> Result<usize, Error> {
        if let Some(known) = self.program.kernels.iter().position(|known| *known == kernel) {
            return Ok(known);
        }
        let declared = declared(&kernel.shader().source());
        let storage = declared.into_iter().filter(|declared| declared.kind != Kind::Uniform);
        let names: Vec<_> = storage.map(|declared| declared.name).collect();
        let (needs, most) = (names.len(), self.caps.storage_buffers as usize);
        if needs > most {
            let because = format!("it binds {needs} storage buffers, the device {most}");
            return Err(Error::Kernel { kernel: kernel.shader().name(), because });
        }
        self.program.kernels.push(kernel);
        self.declared.push(names);
        Ok(self.declared.len() - 1)
    }

    pub(super) fn workspace(&self, bytes: Range<u64>) -> Window {
        Window { binding: "workspace", tensor: Tensor::Workspace, bytes }
    }
}

/// Place of an operand's tensor as its window is bound.
pub(super) fn place(operands: &[Operand], windows: &[Window], binding: &str) -> [u32; 4] {
    let operand = operands.iter().find(|operand| operand.binding == binding);
    let window = windows.iter().find(|window| window.binding == binding);
    operand.zip(window).map_or([0; 4], |(operand, window)| operand.place(window.bytes.start))
}

/// Parameters over a region.
pub(super) fn over(region: &Region, params: Params) -> Params {
    Params {
        batch0: region.batch.start,
        head0: region.heads.start,
        heads: region.heads.len() as u32,
        row0: region.rows.start,
        row_end: region.rows.end,
        key0: region.keys.start,
        key_end: region.keys.end,
        ..params
    }
}
