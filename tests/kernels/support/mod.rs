//! Problems with seeded inputs, buffers that tell what touched them, and a runner that takes any shader text.

pub(crate) mod buffers;
pub(crate) mod program;

use std::{collections::BTreeMap, ops::Range};

use half::bf16;
use wgpu_attention::{
    BlockForm, BlockMask, DType, Data, Error, Gpu, Inputs, Outputs, Seen, Shape, Spec, Tensor, View, reference, wgpu,
};

/// The device of the environment's choice, with all that kernels can use.
///
/// # Panics
///
/// Without an adapter: a test that asked for one has failed.
pub(crate) fn gpu() -> Gpu {
    Gpu::experimental().unwrap_or_else(|error| panic!("{error}"))
}

/// Values of one tensor.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Words(Vec<u32>),
    Bools(Vec<bool>),
}

impl Values {
    fn data(&self) -> Data<'_> {
        match self {
            Self::Floats(data) => Data::Floats(data),
            Self::Words(data) => Data::Words(data),
            Self::Bools(data) => Data::Bools(data),
        }
    }
}

/// A problem and its inputs, each exactly as long as its tensor reaches.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) spec: Spec,
    /// The first row of weights and scores.
    pub(crate) first_row: u32,
    pub(crate) values: BTreeMap<usize, Values>,
}

impl Case {
    /// Uniform numbers: queries and keys in -2..2, values in -1..1. A tenth of the biases are -inf and a quarter of the keep-mask
    /// is false, in blocks and alone. Gaps between strides, and what lies past a length, hold NaN.
    pub(crate) fn random(spec: Spec, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut case = Self { spec: spec.clone(), first_row: 0, values: BTreeMap::new() };
        for view in spec.views().filter(View::is_input) {
            let values = draw(&spec, &view, &mut rng);
            case.values.insert(view.tensor as usize, values);
        }
        case.poison();
        case
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let tensors = Tensor::ALL.into_iter().filter_map(|tensor| Some((tensor, self.values.get(&(tensor as usize))?)));
        tensors.fold(Inputs::default(), |inputs, (tensor, values)| inputs.set(tensor, values.data()))
    }

    pub(crate) fn floats(&mut self, tensor: Tensor) -> &mut Vec<f32> {
        match self.values.get_mut(&(tensor as usize)) {
            Some(Values::Floats(data)) => data,
            other => panic!("{tensor:?} is {other:?}"),
        }
    }

    /// Chosen lengths in the place of random ones; what then does not exist is poisoned, and what does is not.
    pub(crate) fn set_words(&mut self, tensor: Tensor, words: Vec<u32>) {
        self.values.insert(tensor as usize, Values::Words(words));
        for tensor in [Tensor::K, Tensor::V] {
            let fresh = Self::random_floats(&self.spec, tensor);
            self.values.insert(tensor as usize, fresh);
        }
        self.poison();
    }

    fn random_floats(spec: &Spec, tensor: Tensor) -> Values {
        let view = spec.view(tensor).expect("every problem has keys and values");
        draw(spec, &view, &mut fastrand::Rng::with_seed(tensor as u64))
    }

    fn words(&self, tensor: Tensor) -> Option<&[u32]> {
        match self.values.get(&(tensor as usize)) {
            Some(Values::Words(data)) => Some(data),
            _ => None,
        }
    }

    /// The query rows that some sequence has, and the keys of each batch item that exist before an append.
    fn rows(&self) -> Vec<Range<u32>> {
        match self.words(Tensor::CuQ) {
            Some(starts) => starts.windows(2).map(|pair| pair[0]..pair[1]).collect(),
            None => std::iter::once(0..self.spec.shape().q_len).collect(),
        }
    }

    fn keys(&self, batch: u32) -> Vec<Range<u32>> {
        let capacity = self.spec.shape().kv_len;
        match (self.words(Tensor::CuK), self.words(Tensor::KvLens)) {
            (Some(starts), _) => starts.windows(2).map(|pair| pair[0]..pair[1]).collect(),
            (None, Some(lens)) => std::iter::once(0..lens[batch as usize].min(capacity)).collect(),
            (None, None) => std::iter::once(0..capacity).collect(),
        }
    }

    /// NaN or infinity where keys and values do not exist.
    fn poison(&mut self) {
        for (tensor, bad) in [(Tensor::K, f32::NAN), (Tensor::V, f32::INFINITY)] {
            let view = self.spec.view(tensor).expect("every problem has keys and values");
            let keys: Vec<_> = (0..view.sizes[0]).map(|batch| self.keys(batch)).collect();
            let data = self.floats(tensor);
            each(&view, |at, [batch, _, row, _]| {
                if !keys[batch as usize].iter().any(|keys| keys.contains(&row)) {
                    data[at] = bad;
                }
            });
        }
    }

    /// Whether an element of an output is written.
    pub(crate) fn writes(&self, view: &View, [_, _, row, _]: [u32; 4]) -> bool {
        let row = match view.tensor {
            Tensor::K | Tensor::V => return true,
            Tensor::Weights | Tensor::Scores => row + self.first_row,
            _ => row,
        };
        self.rows().iter().any(|rows| rows.contains(&row))
    }

    /// Compares every output with the oracle under the tolerance rule.
    pub(crate) fn compare(&self, actual: &Outputs<f32>) -> Result<(), String> {
        reference::check(&self.spec, &self.inputs(), actual).map(drop).map_err(|wrong| wrong.to_string())
    }
}

fn draw(spec: &Spec, view: &View, rng: &mut fastrand::Rng) -> Values {
    let extent = view.extent().expect("a legal spec") as usize;
    let mut number = |reach: f32| reach * (2.0 * rng.f32() - 1.0);
    let mut floats = |reach: f32| {
        let mut data = vec![f32::NAN; extent];
        each(view, |at, _| data[at] = number(reach));
        Values::Floats(data)
    };
    match view.tensor {
        Tensor::Q | Tensor::K | Tensor::NewK | Tensor::Sinks => floats(2.0),
        Tensor::V
        | Tensor::NewV
        | Tensor::ScoreWeights
        | Tensor::HeadScales
        | Tensor::GridBias
        | Tensor::Slopes
        | Tensor::Cos
        | Tensor::Sin => floats(1.0),
        Tensor::Bias => {
            let mut data = vec![f32::NAN; extent];
            // Extremes would hide faults in the scores that are themselves compared.
            let lowest = match view.dtype {
                _ if spec.view(Tensor::Scores).is_some() => -8.0,
                DType::F16 => -65504.0,
                DType::Bf16 => bf16::MIN.to_f32(),
                _ => f32::MIN,
            };
            each(view, |at, [.., i, j]| {
                data[at] = if hidden(rng, i, j) { f32::NEG_INFINITY } else { bias(rng, lowest) }
            });
            Values::Floats(data)
        }
        Tensor::Keep => {
            let mut data = vec![true; extent];
            each(view, |at, [.., i, j]| data[at] = !hidden(rng, i, j));
            Values::Bools(data)
        }
        Tensor::BlockMask => match spec.block_form() {
            Some(form) if form == block_form(spec.shape(), form.block, form.heads > 1) => {
                Values::Words(block_words(form, rng))
            }
            // Of another mask, which the test has.
            _ => Values::Words(vec![0; extent]),
        },
        Tensor::KvLens => Values::Words((0..extent).map(|_| rng.u32(..=spec.shape().kv_len)).collect()),
        Tensor::Positions => Values::Words((0..extent).map(|_| rng.u32(..40)).collect()),
        Tensor::CuQ => Values::Words(cumulative(rng, extent, spec.shape().q_len)),
        Tensor::CuK => Values::Words(cumulative(rng, extent, spec.shape().kv_len)),
        other => panic!("{other:?} is no input"),
    }
}

/// What the blocks of [`block_words`] are: a quarter whole, a quarter empty, the rest in part.
fn seen_of(head: u32, row: u32, column: u32) -> Seen {
    match (3 * head + row + 2 * column) % 4 {
        0 => Seen::All,
        1 => Seen::None,
        _ => Seen::Some,
    }
}

/// The form of such masks for a shape.
pub(crate) fn block_form(shape: &Shape, block: u32, own: bool) -> BlockForm {
    let heads = if own { shape.q_heads } else { 1 };
    let [rows, columns] = [shape.q_len, shape.kv_len].map(|len| len.div_ceil(block));
    let all = (0..heads).flat_map(|h| (0..rows).flat_map(move |row| (0..columns).map(move |column| (h, row, column))));
    let partial = all.filter(|&(h, row, column)| seen_of(h, row, column) == Seen::Some).count() as u32;
    BlockForm { q_len: shape.q_len, kv_len: shape.kv_len, block, heads, partial }
}

/// A block mask; one in four is of words that mean nothing.
fn block_words(form: BlockForm, rng: &mut fastrand::Rng) -> Vec<u32> {
    let BlockForm { q_len, kv_len, block, .. } = form;
    let seed = rng.u64(..);
    if rng.u32(..4) == 0 {
        let small = |n: u32| if n.is_multiple_of(3) { n } else { n % (form.partial + 2) };
        return (0..form.words()).map(|_| if rng.bool() { small(rng.u32(..)) } else { rng.u32(..) }).collect();
    }
    let mask = |h: u32| {
        let pair = |i: u32, j: u32| {
            fastrand::Rng::with_seed(seed ^ u64::from(h) << 60 ^ u64::from(i) << 30 ^ u64::from(j)).bool()
        };
        let look = |rows: Range<u32>, keys: Range<u32>| seen_of(h, rows.start / block, keys.start / block);
        BlockMask::of_blocks([q_len, kv_len], block, look, pair).expect("a legal form")
    };
    let masks: Vec<_> = (0..form.heads).map(mask).collect();
    let mask = BlockMask::of_heads(&masks).expect("they are alike").with_room(form.partial).expect("a legal form");
    assert_eq!(mask.form(), form);
    mask.words().to_vec()
}

/// Whole blocks of 40 x 70 pairs, and one pair in ten of every other block.
fn hidden(rng: &mut fastrand::Rng, i: u32, j: u32) -> bool {
    match (i / 40 + j / 70) % 3 {
        0 => true,
        1 => rng.u32(..10) == 0,
        _ => false,
    }
}

/// Mostly small, sometimes none, now and then as low as numbers go: such a key is visible all the same.
fn bias(rng: &mut fastrand::Rng, lowest: f32) -> f32 {
    match rng.u32(..50) {
        0 => lowest,
        1..20 => 0.0,
        _ => 4.0 * rng.f32() - 2.0,
    }
}

/// Growing starts of sequences, empty ones among them; the last may end before the rows do.
fn cumulative(rng: &mut fastrand::Rng, count: usize, len: u32) -> Vec<u32> {
    let mut starts: Vec<_> = (0..count).map(|_| rng.u32(..=len)).collect();
    if rng.bool() {
        (starts[0], starts[count - 1]) = (0, len);
    }
    starts.sort_unstable();
    starts
}

/// The place in memory and the indices of every element of a tensor.
pub(crate) fn each(view: &View, mut visit: impl FnMut(usize, [u32; 4])) {
    let [batch, heads, rows, dim] = view.sizes;
    let at = view.layout;
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        for (i, d) in (0..rows).flat_map(|i| (0..dim).map(move |d| (i, d))) {
            let start = at.offset + u64::from(b) * at.batch + u64::from(h) * at.head + u64::from(i) * at.row;
            visit((start + u64::from(d)) as usize, [b, h, i, d]);
        }
    }
}

/// The bits of each element of a type, in 32.
pub(crate) fn elements(bytes: &[u8], dtype: DType) -> Vec<u32> {
    match dtype.bits() {
        32 => bytemuck::pod_collect_to_vec(bytes),
        16 => bytemuck::pod_collect_to_vec::<u8, u16>(bytes).into_iter().map(u32::from).collect(),
        8 => bytes.iter().map(|&byte| byte.into()).collect(),
        _ => bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))).collect(),
    }
}

/// All failures of a test, told together at its end.
#[derive(Default)]
pub(crate) struct Failures {
    ran: usize,
    failed: Vec<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String, result: Result<(), String>) {
        self.ran += 1;
        if let Err(why) = result {
            self.failed.push(format!("{}: {why}", what()));
        }
    }

    /// # Panics
    ///
    /// If anything failed, or nothing ran.
    pub(crate) fn finish(self, name: &str) {
        println!("{name}: {} ran, {} failed", self.ran, self.failed.len());
        assert!(self.ran > 0, "{name}: nothing ran");
        assert!(self.failed.is_empty(), "{name}:\n{}", self.failed.join("\n"));
    }
}

/// Waits for everything submitted and reads a buffer with `COPY_SRC`.
pub(crate) fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<u8> {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
    let staging = gpu.device().create_buffer(&descriptor);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapping"));
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    staging.get_mapped_range(..).expect("mapped").to_vec()
}

/// An error as text, for collecting.
pub(crate) fn text(error: Error) -> String {
    error.to_string()
}
