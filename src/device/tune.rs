//! Timing every algorithm that can compute a problem.

use std::time::{Duration, Instant};

use crate::{
    device::{autotune::Autotune, bindings::Bindings, bound::Bound, memory::allocate, plan::Attention},
    error::Error,
    kernels::forward::algorithm::Algorithm,
    problem::attention::spec::Spec,
    tensor::{Tensor, view::View},
};

/// How long a candidate is run at least, and how often at least.
const ENOUGH: (Duration, usize) = (Duration::from_millis(50), 3);

impl Autotune {
    /// Times every algorithm that can compute a problem of this class, unless that was done before; the fastest.
    ///
    /// It compiles them, makes buffers as large as the problem's, submits, and waits for the device: not for the middle of a
    /// frame. Lengths that the device reads are taken as long as they can be.
    pub fn tune(&mut self, attention: &Attention, queue: &wgpu::Queue, spec: &Spec) -> Result<Algorithm, Error> {
        if let Some(known) = self.get(spec, attention.caps()) {
            return Ok(known);
        }
        let candidates = Algorithm::candidates(spec, attention.caps())?;
        let buffers = Buffers::new(attention, queue, spec)?;
        let (mut fastest, mut least, mut refusal) = (None, Duration::MAX, None);
        for algorithm in candidates {
            let timed =
                buffers.bind(attention, algorithm, spec).and_then(|bound| time(attention, queue, &bound, least));
            match timed {
                Ok(time) if time < least => (fastest, least) = (Some(algorithm), time),
                Ok(_) => {}
                // Another one may do with less.
                Err(error) => refusal = Some(error),
            }
        }
        let Some(fastest) = fastest else { return Err(refusal.unwrap_or(Error::NoOutput)) };
        self.set(spec, attention.caps(), fastest);
        Ok(fastest)
    }
}

/// Buffers for a problem, with lengths as long as they can be and zeros else: a kernel takes as long over any numbers.
struct Buffers(Vec<(View, wgpu::Buffer)>);

impl Buffers {
    fn new(attention: &Attention, queue: &wgpu::Queue, spec: &Spec) -> Result<Self, Error> {
        let mut buffers = Vec::new();
        for view in spec.views() {
            let buffer = scratch(attention.device(), view.tensor.name(), view.bytes()?)?;
            if let Some(bytes) = content(spec, &view)? {
                queue.write_buffer(&buffer, 0, &bytes);
            }
            buffers.push((view, buffer));
        }
        Ok(Self(buffers))
    }

    fn bind(&self, attention: &Attention, algorithm: Algorithm, spec: &Spec) -> Result<Bound, Error> {
        let plan = attention.plan_with(algorithm, spec)?;
        let mut bindings = Bindings::new();
        for (view, buffer) in &self.0 {
            bindings = bindings.set(view.tensor, buffer.slice(..));
        }
        let workspace = match plan.workspace_bytes() {
            0 => None,
            bytes => Some(scratch(attention.device(), "the workspace", bytes)?),
        };
        if let Some(workspace) = &workspace {
            bindings = bindings.workspace(workspace.slice(..));
        }
        plan.bind(&bindings)
    }
}

fn scratch(device: &wgpu::Device, what: &'static str, size: u64) -> Result<wgpu::Buffer, Error> {
    pollster::block_on(allocate(device, what, size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST))
}

/// What a buffer must hold for a kernel to have its usual work; `None` for zeros.
fn content(spec: &Spec, view: &View) -> Result<Option<Vec<u8>>, Error> {
    let shape = spec.shape();
    let even = |len: u32| {
        let sequences = u64::from(spec.sequences.unwrap_or(1));
        let words: Vec<u32> = (0..=sequences).map(|n| (n * u64::from(len) / sequences) as u32).collect();
        bytemuck::pod_collect_to_vec(&words)
    };
    Ok(match view.tensor {
        Tensor::KvLens => {
            let before = shape.kv_len - spec.append.map_or(0, |append| append.len.min(shape.kv_len));
            Some(bytemuck::pod_collect_to_vec(&vec![before; shape.batch as usize]))
        }
        Tensor::CuQ => Some(even(shape.q_len)),
        Tensor::CuK => Some(even(shape.kv_len)),
        // Of a block mask that keeps all.
        Tensor::Keep | Tensor::BlockMask => Some(vec![0xff; view.bytes()? as usize]),
        _ => None,
    })
}

/// The least wall time of a run, the first aside; given up once it is twice as slow as another.
fn time(attention: &Attention, queue: &wgpu::Queue, bound: &Bound, rival: Duration) -> Result<Duration, Error> {
    let device = attention.device();
    let run = || {
        let start = Instant::now();
        let mut last = None;
        for step in 0..bound.steps() {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            bound.encode_steps(&mut encoder, step..step + 1)?;
            last = Some(queue.submit([encoder.finish()]));
        }
        let done = device.poll(wgpu::PollType::Wait { submission_index: last, timeout: None });
        done.map_err(|error| Error::Lost { because: error.to_string() })?;
        Ok(start.elapsed())
    };
    let first = run()?;
    let (start, mut least, mut runs) = (Instant::now(), first, 0);
    while runs < ENOUGH.1 || start.elapsed() < ENOUGH.0 {
        least = least.min(run()?);
        runs += 1;
        if least / 2 > rival {
            break;
        }
    }
    Ok(least)
}
