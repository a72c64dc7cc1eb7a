//! Problems in order over values on the device, planned and bound once, recorded any number of times.

use std::ops::Range;

use crate::{
    device::{
        bindings::Bindings,
        bound::Bound,
        pipelines::Scopes,
        plan::{Attention, Plan},
    },
    error::Error,
    nn::weights::storage,
    problem::Problem,
    tensor::{Tensor, dtype::DType},
};

/// A matrix on the device: dense rows of equal length. A name for it; the buffer is made by [`Tape::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    id: usize,
    /// Rows.
    pub rows: u32,
    /// Elements of a row.
    pub width: u32,
    /// Element type.
    pub dtype: DType,
}

impl Value {
    /// Bytes of its buffer.
    fn bytes(&self) -> u64 {
        (u64::from(self.rows) * u64::from(self.width) * self.dtype.bits()).div_ceil(32) * 4
    }

    /// Refused: another size than what is named says.
    pub(super) fn check(&self, name: &'static str, rows: u32, width: u32) -> Result<(), Error> {
        for (what, got, wanted) in [("rows", self.rows, rows), ("width", self.width, width)] {
            if got != wanted {
                return Err(Error::Value { name, what, got, wanted });
            }
        }
        Ok(())
    }
}

/// What stands behind a value.
#[derive(Debug)]
enum Source {
    /// Written by a step and read by later ones; another value may have its memory afterwards.
    Between,
    /// Read or written by the caller: it keeps its memory.
    Kept,
    /// The same numbers every time.
    Constant(Vec<u8>),
    /// A buffer that was there before.
    Given(wgpu::Buffer),
}

#[derive(Debug)]
struct Step {
    problem: Problem,
    bound: Vec<(Tensor, Value)>,
}

/// Steps under construction: layers add theirs, [`finish`](Self::finish) makes buffers, plans and bind groups.
///
/// Memory of values that no later step reads is used again, so that a deep model takes little more than its widest layer.
#[derive(Debug)]
pub struct Tape {
    attention: Attention,
    values: Vec<(Value, Source)>,
    steps: Vec<Step>,
}

impl Tape {
    /// No steps yet, on the device of `attention`.
    #[must_use]
    pub fn new(attention: &Attention) -> Self {
        Self { attention: attention.clone(), values: Vec::new(), steps: Vec::new() }
    }

    fn add(&mut self, rows: u32, width: u32, dtype: DType, source: Source) -> Value {
        let value = Value { id: self.values.len(), rows, width, dtype };
        self.values.push((value, source));
        value
    }

    /// A value that the caller writes before each run, zeros until then.
    pub fn input(&mut self, rows: u32, width: u32, dtype: DType) -> Value {
        self.add(rows, width, dtype, Source::Kept)
    }

    /// A value that a step writes.
    pub fn value(&mut self, rows: u32, width: u32, dtype: DType) -> Value {
        self.add(rows, width, dtype, Source::Between)
    }

    /// Numbers that stay the same.
    pub fn constant<T: bytemuck::NoUninit>(&mut self, rows: u32, width: u32, dtype: DType, data: &[T]) -> Value {
        let mut bytes = bytemuck::cast_slice(data).to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.add(rows, width, dtype, Source::Constant(bytes))
    }

    /// A buffer of the caller's, from its start.
    pub fn given(&mut self, rows: u32, width: u32, dtype: DType, buffer: &wgpu::Buffer) -> Value {
        self.add(rows, width, dtype, Source::Given(buffer.clone()))
    }

    /// Keeps the memory of a value, so that the caller can read it after a run.
    pub fn keep(&mut self, value: Value) -> Value {
        let source = &mut self.values[value.id].1;
        if matches!(source, Source::Between) {
            *source = Source::Kept;
        }
        value
    }

    /// Adds a step; what it writes, later steps may read.
    pub fn step(&mut self, problem: impl Into<Problem>, bound: &[(Tensor, Value)]) {
        self.steps.push(Step { problem: problem.into(), bound: bound.to_vec() });
    }

    /// How many steps there are so far: where a section starts that is recorded by itself, and more than once
    /// ([`Forward::encode_steps`]). Values that live from one section to another must be [kept](Self::keep).
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Makes buffers, plans and bind groups.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn finish(self) -> Result<Forward, Error> {
        pollster::block_on(self.finish_async())
    }

    /// [`finish`](Self::finish) where one cannot block.
    pub async fn finish_async(self) -> Result<Forward, Error> {
        let mut plans = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            plans.push(self.attention.plan_async(&step.problem).await?);
        }
        let scopes = Scopes::open(self.attention.device());
        let buffers = self.buffers();
        let most = plans.iter().map(Plan::workspace_bytes).max().unwrap_or(0);
        let workspace = self.buffer("workspace", most.max(4), None);
        scopes.close("the values of a model").await?;
        let mut steps = Vec::with_capacity(plans.len());
        for (step, plan) in self.steps.iter().zip(&plans) {
            let mut bindings = Bindings::new();
            for (tensor, value) in &step.bound {
                bindings = bindings.set(*tensor, buffers[value.id].slice(..));
            }
            if plan.workspace_bytes() > 0 {
                bindings = bindings.workspace(workspace.slice(..));
            }
            steps.push(plan.bind_async(&bindings).await?);
        }
        Ok(Forward { steps, buffers, workspace })
    }

    /// A buffer for each value. One that no later step uses is taken again, by a value of the same size.
    fn buffers(&self) -> Vec<wgpu::Buffer> {
        let uses = |value: &Value| self.steps.iter().rposition(|step| step.bound.iter().any(|(_, v)| v.id == value.id));
        let last: Vec<Option<usize>> = self.values.iter().map(|(value, _)| uses(value)).collect();
        let mut made: Vec<Option<wgpu::Buffer>> = vec![None; self.values.len()];
        let mut free: Vec<(u64, wgpu::Buffer)> = Vec::new();
        for (n, step) in self.steps.iter().enumerate() {
            for (_, value) in &step.bound {
                if made[value.id].is_none() && matches!(self.values[value.id].1, Source::Between) {
                    let bytes = value.bytes();
                    let known = free.iter().position(|(size, _)| *size == bytes);
                    let buffer = known.map(|at| free.swap_remove(at).1);
                    made[value.id] = Some(buffer.unwrap_or_else(|| self.buffer("a value", bytes, None)));
                }
            }
            // Read here for the last time: the steps after this one may write there.
            for (id, buffer) in made.iter().enumerate().filter(|(id, _)| last[*id] == Some(n)) {
                free.extend(buffer.iter().map(|buffer| (self.values[id].0.bytes(), buffer.clone())));
            }
        }
        let make = |((value, source), made): (&(Value, Source), Option<wgpu::Buffer>)| match source {
            Source::Given(buffer) => buffer.clone(),
            Source::Constant(data) => self.buffer("a constant", value.bytes(), Some(data)),
            Source::Kept | Source::Between => made.unwrap_or_else(|| self.buffer("a value", value.bytes(), None)),
        };
        self.values.iter().zip(made).map(make).collect()
    }

    fn buffer(&self, label: &str, size: u64, data: Option<&[u8]>) -> wgpu::Buffer {
        storage(self.attention.device(), label, size, data)
    }
}

/// A model's forward pass at one size, ready to be recorded any number of times.
#[derive(Clone, Debug)]
pub struct Forward {
    steps: Vec<Bound>,
    buffers: Vec<wgpu::Buffer>,
    workspace: wgpu::Buffer,
}

impl Forward {
    /// Records all steps. Nothing runs until the caller submits, and nothing is read back between them.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.record(encoder, &self.steps);
    }

    /// Records some of the steps: a section of the tape.
    pub fn encode_steps(&self, encoder: &mut wgpu::CommandEncoder, steps: Range<usize>) -> Result<(), Error> {
        let refused = Error::Steps { from: steps.start, to: steps.end, steps: self.steps.len() };
        let steps = self.steps.get(steps).ok_or(refused)?;
        self.record(encoder, steps);
        Ok(())
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, steps: &[Bound]) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("model"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        steps.iter().for_each(|step| step.record(&mut pass));
    }

    /// How many steps there are.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Dispatches of all steps.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.steps.iter().map(Bound::steps).sum()
    }

    /// The buffer of a value of its tape: of inputs, which the caller writes, and of what was [kept](Tape::keep).
    ///
    /// # Panics
    ///
    /// If the value is of another tape with more values.
    #[must_use]
    pub fn buffer(&self, value: Value) -> &wgpu::Buffer {
        &self.buffers[value.id]
    }

    /// Bytes of device memory of all values, weights and what the caller gave included once each.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut all: Vec<&wgpu::Buffer> = self.buffers.iter().chain([&self.workspace]).collect();
        let mut sum = 0;
        while let Some(buffer) = all.pop() {
            sum += if all.contains(&buffer) { 0 } else { buffer.size() };
        }
        sum
    }
}
