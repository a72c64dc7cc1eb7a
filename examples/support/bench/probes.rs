//! What the device can do at most: f32 multiply-adds and storage copies a second, measured by shaders that do nothing
//! else.
//!
//! Each probe grows its work until a run takes some tens of milliseconds, keeps the best of several runs, and then
//! checks what it computed: a probe that did not run has no rate.

use std::{
    error::Error as StdError,
    time::{Duration, Instant},
};

use wgpu_attention::{Error, Gpu, wgpu};

use crate::device::{buffer, buffer_for, caught, encoder, read, submit};

/// Far above the cost of a submission, and short enough that some run has a busy host's cores for itself.
const LONG_ENOUGH: Duration = Duration::from_millis(20);
/// Runs of the final size, of which the best counts.
const RUNS: u32 = 10;

/// Seconds that a unit of work takes at best, and the number of units in the last run.
struct Best {
    seconds: f64,
    units: u32,
}

/// Times `run`, which does so many units of work and waits for them. At most `most` units.
fn best(most: u32, mut run: impl FnMut(u32) -> Result<(), Error>) -> Result<Best, Error> {
    let mut timed = |units| {
        let start = Instant::now();
        run(units).map(|()| start.elapsed())
    };
    let mut units = 1;
    timed(units)?; // warm-up
    let mut took = timed(units)?;
    while took < LONG_ENOUGH && units < most {
        // At most 8 times as much: a first short run is mostly overhead and predicts badly.
        let wanted = f64::from(units) * LONG_ENOUGH.as_secs_f64() / took.as_secs_f64().max(1e-9);
        units = (wanted * 1.2).min(f64::from(units) * 8.0).clamp(1.0, f64::from(most)).ceil() as u32;
        took = timed(units)?;
    }
    for _ in 1..RUNS {
        took = took.min(timed(units)?);
    }
    Ok(Best { seconds: took.as_secs_f64() / f64::from(units), units })
}

/// The entry point of a probe's text, compiled.
fn pipeline(gpu: &Gpu, wgsl: &str, entry_point: &str) -> Result<wgpu::ComputePipeline, Error> {
    let source = wgpu::ShaderSource::Wgsl(wgsl.into());
    caught(gpu, "a probe", || {
        let module = &gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("probe"), source });
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options: Default::default(),
            cache: None,
        })
    })
}

/// The buffers of a probe, at bindings 0, 1, ...
fn group(gpu: &Gpu, pipeline: &wgpu::ComputePipeline, buffers: &[&wgpu::Buffer]) -> Result<wgpu::BindGroup, Error> {
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let layout = &pipeline.get_bind_group_layout(0);
    let descriptor = wgpu::BindGroupDescriptor { label: Some("probe"), layout, entries: &entries };
    caught(gpu, "a probe", || gpu.device().create_bind_group(&descriptor))
}

/// Dispatches so often in one submission, and waits.
fn dispatch(
    gpu: &Gpu,
    pipeline: &wgpu::ComputePipeline,
    group: &wgpu::BindGroup,
    workgroups: u32,
    times: u32,
) -> Result<(), Error> {
    caught(gpu, "a probe", || {
        let mut encoder = encoder(gpu);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, group, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
        drop(pass);
        submit(gpu, encoder)
    })?
}

/// f32 multiply-adds, as 10^9 floating-point operations a second: two each.
///
/// The best of several forms. A CPU spills many chains, and starts a workgroup at a price; a large GPU needs many
/// workgroups for each core, so that all cores finish together, and chains enough to keep its units busy.
pub(crate) fn fma_gflops(gpu: &Gpu) -> Result<f64, Box<dyn StdError>> {
    let mut most = 0.0;
    for (chains, workgroups) in [(2, 1024), (4, 4096), (8, 16384)] {
        most = f64::max(most, chains_gflops(gpu, chains, workgroups)?);
    }
    Ok(most)
}

/// `@workgroup_size` of fma.wgsl.
const FMA_INVOCATIONS: u32 = 64;
/// The unrolled steps of a round.
const STEPS: u32 = 16;

fn chains_gflops(gpu: &Gpu, chains: u32, workgroups: u32) -> Result<f64, Box<dyn StdError>> {
    let pipeline = pipeline(gpu, &fma_text(chains), "main")?;
    let invocations = workgroups * FMA_INVOCATIONS;
    let sums = buffer(gpu, "the sums of a probe", u64::from(invocations) * 16)?;
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let params = buffer_for(gpu, "the parameters of a probe", 16, usage)?;
    let group = group(gpu, &pipeline, &[&params, &sums])?;
    // Sums stay below 2^24, where f32 counts exactly.
    let most = ((1 << 24) / chains - 1024) / STEPS;
    let one = 1f32.to_bits();
    let best = best(most, |rounds| {
        gpu.queue().write_buffer(&params, 0, bytemuck::cast_slice(&[rounds, one, one, 0]));
        dispatch(gpu, &pipeline, &group, workgroups, 1)
    })?;
    check_sums(&read(gpu, &sums, 0, sums.size())?, chains, best.units)?;
    let flops = 2.0 * 4.0 * f64::from(chains) * f64::from(STEPS) * f64::from(invocations);
    Ok(flops / best.seconds / 1e9)
}

/// fma.wgsl with so many chains.
fn fma_text(chains: u32) -> String {
    let repeat = |line: &str| (0..chains).map(|chain| line.replace('#', &chain.to_string()) + "\n").collect::<String>();
    let is_comment = |line: &str| line.starts_with("//");
    let expand = |line: &str| if line.contains('#') { repeat(line) } else { format!("{line}\n") };
    include_str!("fma.wgsl").lines().filter(|line| !is_comment(line)).map(expand).collect()
}

fn check_sums(sums: &[[f32; 4]], chains: u32, rounds: u32) -> Result<(), String> {
    let numbers = chains * (chains - 1) / 2;
    for (id, sum) in (0..).zip(sums) {
        for (component, &actual) in (0..).zip(sum) {
            let expected = (chains * (id % 256 + component + rounds * STEPS) + numbers) as f32;
            if actual != expected {
                return Err(format!("invocation {id} computed {actual} instead of {expected}"));
            }
        }
    }
    Ok(())
}

/// Multiply-adds of cooperative matrices of 16-bit floats into 32-bit sums, as 10^9 floating-point operations a second; `None`
/// where the device has none, or nobody knows the size of a subgroup.
pub(crate) fn matrix_gflops(gpu: &Gpu) -> Result<Option<f64>, Box<dyn StdError>> {
    let caps = gpu.attention().caps();
    let (Some(size), Some([lanes, most])) = (caps.matrix, caps.subgroups) else { return Ok(None) };
    if lanes != most {
        return Ok(None);
    }
    let head = format!(
        "enable f16;\nenable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\nconst T = {size}u;\n\
         const SIZE = {lanes}u;\nalias MatrixA = coop_mat{size}x{size}<f16, A>;\nalias MatrixB = coop_mat{size}x{size}<f16, B>;\n\
         alias MatrixC = coop_mat{size}x{size}<f32, C>;\n"
    );
    let pipeline = pipeline(gpu, &(head + include_str!("matrix.wgsl")), "main")?;
    // As in the text.
    let (chains, steps, workgroups) = (4, 4, 4096);
    let sums = buffer(gpu, "the sums of a probe", u64::from(4 * workgroups * chains * size * size))?;
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let params = buffer_for(gpu, "the parameters of a probe", 16, usage)?;
    let group = group(gpu, &pipeline, &[&params, &sums])?;
    let best = best((1 << 24) / steps - 1, |rounds| {
        gpu.queue().write_buffer(&params, 0, bytemuck::cast_slice(&[rounds, 0, 0, 0]));
        dispatch(gpu, &pipeline, &group, workgroups, 1)
    })?;
    let expected = (best.units * steps) as f32;
    if let Some(wrong) = read::<f32>(gpu, &sums, 0, sums.size())?.into_iter().find(|&sum| sum != expected) {
        return Err(format!("a matrix holds {wrong} instead of {expected}").into());
    }
    let flops = 2.0 * f64::from(size).powi(3) * f64::from(chains * steps) * f64::from(workgroups);
    Ok(Some(flops / best.seconds / 1e9))
}

/// Most bytes of either buffer of the copy: above the caches of any device.
const COPY_BYTES: u64 = 256 << 20;
/// Bytes that one workgroup copies.
const COPY_WORKGROUP_BYTES: u64 = 16 << 10;

/// Copies between storage buffers, in 10^9 bytes a second, read and written ones both counted.
pub(crate) fn copy_gbps(gpu: &Gpu) -> Result<f64, Box<dyn StdError>> {
    let [copy, fill] = ["copy", "fill"].map(|entry| pipeline(gpu, include_str!("copy.wgsl"), entry));
    let (copy, fill) = (copy?, fill?);
    let [src, dst] = copy_buffers(gpu)?;
    let bytes = src.size();
    let workgroups = (bytes / COPY_WORKGROUP_BYTES) as u32;
    dispatch(gpu, &fill, &group(gpu, &fill, &[&src])?, workgroups, 1)?;
    let group = group(gpu, &copy, &[&dst, &src])?;
    let best = best(1 << 12, |times| dispatch(gpu, &copy, &group, workgroups, times))?;
    let piece = COPY_WORKGROUP_BYTES;
    for offset in [0, bytes / 2 / piece * piece, bytes - piece] {
        check_copied(&read(gpu, &dst, offset, piece)?, offset)?;
    }
    Ok(2.0 * bytes as f64 / best.seconds / 1e9)
}

/// Two buffers as large as the device has.
fn copy_buffers(gpu: &Gpu) -> Result<[wgpu::Buffer; 2], Error> {
    let limits = gpu.device().limits();
    let mut bytes = COPY_BYTES.min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size);
    loop {
        let whole = bytes / COPY_WORKGROUP_BYTES * COPY_WORKGROUP_BYTES;
        match ["the source of a copy", "the destination of a copy"].map(|what| buffer(gpu, what, whole)) {
            [Err(Error::OutOfMemory { .. }), _] | [_, Err(Error::OutOfMemory { .. })] if bytes > 16 << 20 => bytes /= 2,
            [src, dst] => return Ok([src?, dst?]),
        }
    }
}

fn check_copied(words: &[u32], offset: u64) -> Result<(), String> {
    for (n, &actual) in (offset as u32 / 4..).zip(words) {
        let expected = n.wrapping_mul(2_654_435_761).wrapping_add(1);
        if actual != expected {
            return Err(format!("word {n} is {actual} instead of {expected}"));
        }
    }
    Ok(())
}
