//! Problems in order over matrices on the device, planned and bound once, recorded any number of times.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    device::{
        bindings::Bindings,
        bound::Bound,
        memory::{loaded_floats, stored},
        pipelines::Scopes,
        plan::{Attention, Plan},
    },
    error::Error,
    gpu::Gpu,
    nn::state_dict::storage,
    problem::{Problem, values::Data},
    tensor::{Tensor, dtype::DType, view::View},
};

/// Numbers graphs, so that a node is known by its own.
static GRAPHS: AtomicU64 = AtomicU64::new(0);

/// A matrix on the device: dense rows of equal length. A name for it in one graph; its buffer is made by [`Graph::compile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    graph: u64,
    id: usize,
    /// Rows.
    pub rows: u32,
    /// Elements of a row.
    pub width: u32,
    /// Element type.
    pub dtype: DType,
}

impl Node {
    /// Bytes of its buffer.
    fn bytes(&self) -> u64 {
        let bits = u128::from(self.rows) * u128::from(self.width) * u128::from(self.dtype.bits());
        u64::try_from(bits.div_ceil(32) * 4).unwrap_or(u64::MAX)
    }

    /// Refused: another size than what is named says.
    pub(super) fn check(&self, name: &'static str, rows: u32, width: u32) -> Result<(), Error> {
        for (what, got, wanted) in [("rows", self.rows, rows), ("width", self.width, width)] {
            if got != wanted {
                return Err(Error::Node { name, what, got, wanted });
            }
        }
        Ok(())
    }
}

/// What stands behind a node.
#[derive(Debug)]
enum Source {
    /// Written by a step and read by later ones; another node may have its memory afterwards.
    Between,
    /// Read or written by the caller: it keeps its memory.
    Kept,
    /// The same numbers every time.
    Constant(Vec<u8>),
    /// A buffer that was there before.
    Given(wgpu::Buffer),
}

impl Source {
    /// Bytes of a constant; `None` where the numbers come from elsewhere.
    fn constant_bytes(&self) -> Option<u64> {
        match self {
            Self::Constant(data) => Some(data.len() as u64),
            Self::Between | Self::Kept | Self::Given(_) => None,
        }
    }
}

#[derive(Debug)]
struct Step {
    problem: Problem,
    bound: Vec<(Tensor, Node)>,
}

/// Steps under construction: layers add theirs, [`compile`](Self::compile) makes buffers, plans and bind groups.
///
/// Memory of nodes that no later step reads is used again, so that a deep model takes little more than its widest layer.
#[derive(Debug)]
pub struct Graph {
    id: u64,
    attention: Attention,
    nodes: Vec<(Node, Source)>,
    steps: Vec<Step>,
    /// Whether a node of another graph was given.
    mixed: bool,
}

impl Graph {
    /// No steps yet, on the device of `attention`.
    #[must_use]
    pub fn new(attention: &Attention) -> Self {
        let id = GRAPHS.fetch_add(1, Ordering::Relaxed);
        Self { id, attention: attention.clone(), nodes: Vec::new(), steps: Vec::new(), mixed: false }
    }

    fn new_node(&mut self, rows: u32, width: u32, dtype: DType, source: Source) -> Node {
        let node = Node { graph: self.id, id: self.nodes.len(), rows, width, dtype };
        self.nodes.push((node, source));
        node
    }

    /// A matrix that the caller writes before each run, zeros until then.
    pub fn input(&mut self, rows: u32, width: u32, dtype: DType) -> Node {
        self.new_node(rows, width, dtype, Source::Kept)
    }

    /// A matrix that a step writes.
    pub fn node(&mut self, rows: u32, width: u32, dtype: DType) -> Node {
        self.new_node(rows, width, dtype, Source::Between)
    }

    /// Numbers that stay the same.
    pub fn constant<T: bytemuck::NoUninit>(&mut self, rows: u32, width: u32, dtype: DType, data: &[T]) -> Node {
        let mut bytes = bytemuck::cast_slice(data).to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.new_node(rows, width, dtype, Source::Constant(bytes))
    }

    /// A buffer of the caller's, from its start.
    pub fn given(&mut self, rows: u32, width: u32, dtype: DType, buffer: &wgpu::Buffer) -> Node {
        self.new_node(rows, width, dtype, Source::Given(buffer.clone()))
    }

    /// Keeps the memory of a node, so that the caller can read it after a run.
    pub fn keep(&mut self, node: Node) -> Node {
        let own = self.nodes.get_mut(node.id).filter(|_| node.graph == self.id);
        match own {
            Some((_, source @ Source::Between)) => *source = Source::Kept,
            Some(_) => {}
            None => self.mixed = true,
        }
        node
    }

    /// Adds a problem and what is bound to it; what it writes, later ones may read.
    pub fn add(&mut self, problem: impl Into<Problem>, bound: &[(Tensor, Node)]) {
        self.mixed |= bound.iter().any(|(_, node)| node.graph != self.id);
        self.steps.push(Step { problem: problem.into(), bound: bound.to_vec() });
    }

    /// How many steps there are so far: where a section starts that is recorded by itself, and more than once
    /// ([`Model::encode_steps`]). Nodes that live from one section to another must be [kept](Self::keep).
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Makes buffers, plans and bind groups. Compiles the kernels that the device has not met, which is most of the time it takes.
    /// Refused: what planning or binding a step refuses, and nodes of another graph.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn compile(self) -> Result<Model, Error> {
        pollster::block_on(self.compile_async())
    }

    /// [`compile`](Self::compile) where one cannot block.
    pub async fn compile_async(self) -> Result<Model, Error> {
        if self.mixed {
            return Err(Error::OtherGraph);
        }
        let max = self.attention.device().limits().max_buffer_size;
        if let Some(bytes) = self.nodes.iter().map(|(node, _)| node.bytes()).find(|&bytes| bytes > max) {
            return Err(Error::BufferLimit { name: "a node", bytes, max });
        }
        for (node, source) in &self.nodes {
            let (name, got, needs) = ("a constant", source.constant_bytes().unwrap_or(node.bytes()), node.bytes());
            if got != needs {
                return Err(Error::Size { name, got, needs });
            }
        }
        let mut plans = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            plans.push(self.attention.plan_async(&step.problem).await?);
        }
        let scopes = Scopes::open(self.attention.device());
        let buffers = self.buffers();
        let most = plans.iter().map(Plan::workspace_bytes).max().unwrap_or(0);
        let workspace = self.buffer("workspace", most.max(4), None);
        scopes.close("the nodes of a model").await?;
        let mut steps = Vec::with_capacity(plans.len());
        for (step, plan) in self.steps.iter().zip(&plans) {
            let mut bindings = Bindings::new();
            for (tensor, node) in &step.bound {
                bindings = bindings.set(*tensor, buffers[node.id].slice(..));
            }
            if plan.workspace_bytes() > 0 {
                bindings = bindings.workspace(workspace.slice(..));
            }
            steps.push(plan.bind_async(&bindings).await?);
        }
        Ok(Model { graph: self.id, steps, buffers, workspace })
    }

    /// A buffer for each node. One that no later step uses is taken again, by a node of the same size.
    fn buffers(&self) -> Vec<wgpu::Buffer> {
        let uses = |node: &Node| self.steps.iter().rposition(|step| step.bound.iter().any(|(_, n)| n.id == node.id));
        let last: Vec<Option<usize>> = self.nodes.iter().map(|(node, _)| uses(node)).collect();
        let mut made: Vec<Option<wgpu::Buffer>> = vec![None; self.nodes.len()];
        let mut free: Vec<(u64, wgpu::Buffer)> = Vec::new();
        for (n, step) in self.steps.iter().enumerate() {
            for (_, node) in &step.bound {
                if made[node.id].is_none() && matches!(self.nodes[node.id].1, Source::Between) {
                    let bytes = node.bytes();
                    let known = free.iter().position(|(size, _)| *size == bytes);
                    let buffer = known.map(|at| free.swap_remove(at).1);
                    made[node.id] = Some(buffer.unwrap_or_else(|| self.buffer("a node", bytes, None)));
                }
            }
            // Read here for the last time: the steps after this one may write there.
            for (id, buffer) in made.iter().enumerate().filter(|(id, _)| last[*id] == Some(n)) {
                free.extend(buffer.iter().map(|buffer| (self.nodes[id].0.bytes(), buffer.clone())));
            }
        }
        let make = |((node, source), made): (&(Node, Source), Option<wgpu::Buffer>)| match source {
            Source::Given(buffer) => buffer.clone(),
            Source::Constant(data) => self.buffer("a constant", node.bytes(), Some(data)),
            Source::Kept | Source::Between => made.unwrap_or_else(|| self.buffer("a node", node.bytes(), None)),
        };
        self.nodes.iter().zip(made).map(make).collect()
    }

    fn buffer(&self, label: &str, size: u64, data: Option<&[u8]>) -> wgpu::Buffer {
        storage(self.attention.device(), label, size, data)
    }
}

/// A compiled [`Graph`]: a model at one size, ready to be recorded any number of times.
#[derive(Clone, Debug)]
pub struct Model {
    graph: u64,
    steps: Vec<Bound>,
    buffers: Vec<wgpu::Buffer>,
    workspace: wgpu::Buffer,
}

impl Model {
    /// Records all steps. Nothing runs until the caller submits, and nothing is read back between them.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.record(encoder, &self.steps);
    }

    /// Records some of the steps: a section of the graph.
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

    /// The buffer of a node of its graph: of inputs, which the caller writes, and of what was [kept](Graph::keep). Refused: a node of
    /// another graph.
    pub fn buffer(&self, node: Node) -> Result<&wgpu::Buffer, Error> {
        self.buffers.get(node.id).filter(|_| node.graph == self.graph).ok_or(Error::OtherGraph)
    }

    /// The buffer of a node that is known to be of its graph.
    pub(super) fn own_buffer(&self, node: Node) -> &wgpu::Buffer {
        &self.buffers[node.id]
    }

    /// Writes inputs, runs all steps, and reads nodes that were [kept](Graph::keep) back as f32: for those without an encoder of their
    /// own. Inputs that are not given keep their numbers.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&self, gpu: &Gpu, inputs: &[(Node, Data<'_>)], outputs: &[Node]) -> Result<Vec<Vec<f32>>, Error> {
        pollster::block_on(self.run_async(gpu, inputs, outputs))
    }

    /// [`run`](Self::run) where one cannot block.
    pub async fn run_async(
        &self,
        gpu: &Gpu,
        inputs: &[(Node, Data<'_>)],
        outputs: &[Node],
    ) -> Result<Vec<Vec<f32>>, Error> {
        for (node, data) in inputs {
            self.write(gpu, *node, *data).await?;
        }
        gpu.record("a model", |encoder| self.encode(encoder)).await?;
        let mut read = Vec::with_capacity(outputs.len());
        for &node in outputs {
            let bytes: Vec<u8> = gpu.read_async(self.buffer(node)?).await?;
            let mut numbers = loaded_floats(&bytes, node.dtype);
            numbers.truncate(node.rows as usize * node.width as usize);
            read.push(numbers);
        }
        Ok(read)
    }

    /// Writes the numbers of an input, as many as it has, rounded to its element type.
    async fn write(&self, gpu: &Gpu, node: Node, data: Data<'_>) -> Result<(), Error> {
        let view = View::dense(Tensor::X, [1, 1, node.rows, node.width], node.dtype);
        let (name, needs) = ("of a node", view.extent()? as usize);
        if !data.fits(node.dtype) {
            let wanted = "of the kind of the data given";
            return Err(Error::Type { name: "a node", got: node.dtype.name(), wanted });
        }
        if data.len() != needs {
            return Err(Error::Input { name, got: data.len(), needs });
        }
        let (buffer, bytes) = (self.buffer(node)?, stored(data, &view)?);
        let scopes = Scopes::open(gpu.device());
        gpu.queue().write_buffer(buffer, 0, &bytes);
        scopes.close("an input").await
    }

    /// Bytes of device memory of all nodes, weights and what the caller gave included once each.
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
