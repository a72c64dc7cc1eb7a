//! What a problem becomes: kernels, what each binds, and dispatches in order.

use std::ops::Range;

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{Kernel, forward::algorithm::Algorithm},
    problem::Problem,
    program::region::{Limits, MAX_STEPS, Operand, Region},
    shader::{params::Params, slot::Slot, source::Source},
    tensor::Tensor,
};

/// Most floating-point operations of one dispatch: 0.2 s at 100 GFLOP/s, far below every watchdog (2 s on Windows).
const STEP_FLOPS: u64 = 1 << 34;

/// The same on a discrete GPU: 0.2 s at 700 GFLOP/s, and enough workgroups to fill it.
const DISCRETE_STEP_FLOPS: u64 = 1 << 37;

/// Most work items of a kernel, all dispatches over a region together: their numbers are 32-bit.
const MAX_ITEMS: u64 = 1 << 31;

/// Windows start at multiples of this many bytes: that of every device, and whole vec4 of every type.
const ALIGN: u64 = 256;

/// The part of a tensor that is bound, and what the shader calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What the shader calls it.
    pub slot: Slot,
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

/// A program under construction.
pub(crate) struct Builder<'a> {
    pub(crate) caps: &'a Caps,
    pub(crate) program: Program,
    /// What each kernel binds, and whose places it reads.
    declared: Vec<Declared>,
}

/// What the text of a kernel declares.
struct Declared {
    bindings: Vec<Slot>,
    places: Vec<Slot>,
}

/// The tensors of a dispatch: what is bound of each, and where its elements lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Located {
    windows: Vec<Window>,
    places: Vec<(Slot, [u32; 4])>,
}

impl Located {
    /// Adds what is bound without a place.
    pub(crate) fn bind(&mut self, window: Window) {
        self.windows.retain(|known| known.slot != window.slot);
        self.windows.push(window);
    }

    /// Says where a tensor lies, instead of what was said before.
    pub(crate) fn place(&mut self, slot: impl Into<Slot>, place: [u32; 4]) {
        let slot = slot.into();
        self.places.retain(|&(known, _)| known != slot);
        self.places.push((slot, place));
    }

    /// Lets windows end where their tensors end: the last four rows of a weight may be fewer.
    pub(crate) fn end_within(&mut self, problem: &Problem) -> Result<(), Error> {
        for window in &mut self.windows {
            if let Some(view) = problem.view(window.tensor) {
                window.bytes.end = window.bytes.end.min(view.bytes()?);
            }
        }
        Ok(())
    }

    /// Heads share one: whatever the head, the first is meant.
    pub(crate) fn share_heads(&mut self, slot: impl Into<Slot>) {
        let slot = slot.into();
        self.places.iter_mut().filter(|(known, _)| *known == slot).for_each(|(_, place)| place[2] = 0);
    }

    /// The places that a text reads, in its order.
    fn places_of(&self, kernel: &'static str, slots: &[Slot]) -> Result<[[u32; 4]; Params::PLACES], Error> {
        let mut places = [[0; 4]; Params::PLACES];
        for (place, slot) in places.iter_mut().zip(slots) {
            let known = self.places.iter().find(|(known, _)| known == slot);
            let missing = || Error::Kernel { kernel, because: format!("nobody says where {} lies", slot.name()) };
            *place = known.ok_or_else(missing)?.1;
        }
        Ok(places)
    }
}

impl<'a> Builder<'a> {
    pub(crate) fn new(caps: &'a Caps) -> Self {
        Self { caps, declared: Vec::new(), program: Program { parts: 1, ..Program::default() } }
    }
}

impl Builder<'_> {
    pub(crate) fn step_flops(&self) -> u64 {
        if self.caps.kind == DeviceKind::Discrete { DISCRETE_STEP_FLOPS } else { STEP_FLOPS }
    }

    pub(crate) fn limits(&self, keys: u32) -> Limits {
        // Elements are numbered with 32 bits inside a window; the smallest element is a bit.
        let window = self.caps.binding_bytes.min((1 << 32) / 8);
        Limits { window: window / 4 * 4, align: ALIGN.max(self.caps.storage_align.into()), keys }
    }

    /// The operands over a region: what of each is bound, and where it lies.
    pub(crate) fn located(&self, operands: &[Operand], region: &Region) -> Located {
        let align = self.limits(1).align;
        let mut located = Located::default();
        for operand in operands {
            let bytes = operand.window(region, align);
            located.place(operand.slot, operand.place(bytes.start));
            located.bind(Window { slot: operand.slot, tensor: operand.view.tensor, bytes });
        }
        located
    }

    /// Adds the dispatches of a kernel over `items` work items of `item_flops` operations each.
    pub(crate) fn dispatch(
        &mut self,
        kernel: Kernel,
        located: Located,
        params: Params,
        items: u64,
        item_flops: u64,
    ) -> Result<(), Error> {
        let index = self.kernel(kernel)?;
        let places = located.places_of(kernel.shader().name(), &self.declared[index].places)?;
        let params = Params { places, ..kernel.shader().loops(params) };
        let group = self.group(index, located.windows);
        if items > MAX_ITEMS {
            return Err(Error::TooLarge { name: "the number of work items", got: items, max: MAX_ITEMS });
        }
        let share = u64::from(kernel.shader().workgroup().items());
        let limit = u64::from(self.caps.workgroups.max(1));
        let most = (self.step_flops() / item_flops.saturating_mul(share).max(1)).clamp(1, limit.pow(2)) * share;
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
    fn group(&mut self, kernel: usize, mut windows: Vec<Window>) -> usize {
        windows.retain(|window| self.declared[kernel].bindings.contains(&window.slot));
        let group = Group { kernel, windows };
        let groups = &mut self.program.groups;
        // A piece has its own windows, which come again only within it.
        let lately = groups.len().saturating_sub(8);
        groups[lately..].iter().position(|known| *known == group).map_or_else(
            || {
                groups.push(group);
                groups.len() - 1
            },
            |known| lately + known,
        )
    }

    fn kernel(&mut self, kernel: Kernel) -> Result<usize, Error> {
        if let Some(known) = self.program.kernels.iter().position(|known| *known == kernel) {
            return Ok(known);
        }
        let Source { bindings, places, .. } = kernel.shader().source();
        let (needs, most) = (bindings.len(), self.caps.storage_buffers as usize);
        if needs > most {
            let because = format!("it binds {needs} storage buffers, the device {most}");
            return Err(Error::Kernel { kernel: kernel.shader().name(), because });
        }
        self.program.kernels.push(kernel);
        self.declared.push(Declared { bindings: bindings.iter().map(|binding| binding.slot).collect(), places });
        Ok(self.declared.len() - 1)
    }

    pub(crate) fn workspace(&self, bytes: Range<u64>) -> Window {
        Window { slot: Tensor::Workspace.into(), tensor: Tensor::Workspace, bytes }
    }
}

/// Parameters over a region.
pub(crate) fn over(region: &Region, params: Params) -> Params {
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
