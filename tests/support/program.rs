//! Runs a program without the crate's own plan: from its texts, changed at will. Mutants run here.

use std::collections::HashMap;

use wgpu_attention::{
    DType, Gpu, Problem, Tensor, View,
    program::{Group, Program, Step},
    shader::Source,
    wgpu,
};

use super::{buffers::Buffers, case::Case};

/// Pipelines by their texts: a mutant changes one text of several.
pub(crate) type Compiled = HashMap<String, wgpu::ComputePipeline>;

/// A kernel that was compiled from its text, as it is or changed.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) source: Source,
    /// What it binds beside what the source says.
    pub(crate) beside: Option<(u32, wgpu::Buffer)>,
}

/// Runs a case between canaries, by a program whose texts went through `change`, and compares every output with the oracle.
pub(crate) fn verdict<P: Clone + Into<Problem>>(
    gpu: &Gpu,
    case: &Case<P>,
    program: &Program,
    compiled: &mut Compiled,
    change: impl Fn(String) -> String,
) -> Result<(), String> {
    let buffers = buffers(gpu, case, program);
    let mut made = |mut source: Source| {
        source.wgsl = change(source.wgsl);
        let pipeline = compiled.entry(source.wgsl.clone());
        let pipeline =
            pipeline.or_insert_with(|| compile(gpu, wgpu::ShaderSource::Wgsl((&source.wgsl).into()))).clone();
        Made { pipeline, source, beside: None }
    };
    let kernels: Vec<_> = program.kernels.iter().map(|kernel| made(kernel.shader().source())).collect();
    run(gpu, program, &buffers, &kernels);
    case.compare(&buffers.outputs(gpu, case)?)
}

/// The tensors of a case between canaries, and the workspace of a program.
pub(crate) fn buffers<P: Clone + Into<Problem>>(gpu: &Gpu, case: &Case<P>, program: &Program) -> Buffers {
    let words = (program.workspace_bytes / 4) as u32;
    let workspace = View { written: true, ..View::dense(Tensor::Workspace, [1, 1, 1, words], DType::U32) };
    let problem: Problem = case.spec.clone().into();
    Buffers::new(gpu, case, problem.views().chain((words > 0).then_some(workspace)))
}

/// Runs every step of a program by its kernels.
pub(crate) fn run(gpu: &Gpu, program: &Program, buffers: &Buffers, kernels: &[Made]) {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for step in &program.steps {
        let group = &program.groups[step.group];
        let made = &kernels[group.kernel];
        let group = bind(gpu, made, (group, step), buffers);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&made.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(step.grid[0], step.grid[1], 1);
    }
    gpu.queue().submit([encoder.finish()]);
}

/// The pipeline of a text or module, with all checks.
pub(crate) fn compile(gpu: &Gpu, source: wgpu::ShaderSource<'_>) -> wgpu::ComputePipeline {
    let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

fn bind(gpu: &Gpu, made: &Made, (group, step): (&Group, &Step), buffers: &Buffers) -> wgpu::BindGroup {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let size = size_of_val(&step.params) as u64;
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    let params = gpu.device().create_buffer(&descriptor);
    gpu.queue().write_buffer(&params, 0, bytemuck::bytes_of(&step.params));
    let entry = |binding, buffer| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) };
    let mut entries = vec![entry(0, params.as_entire_buffer_binding())];
    for binding in &made.source.bindings {
        let Some(window) = group.windows.iter().find(|window| window.slot == binding.slot) else { continue };
        let slice = buffers.slice(window.tensor).expect("every tensor has a buffer");
        let size = wgpu::BufferSize::new(window.bytes.end - window.bytes.start);
        let (buffer, offset) = (slice.buffer(), slice.offset() + window.bytes.start);
        entries.push(entry(binding.slot.binding(), wgpu::BufferBinding { buffer, offset, size }));
    }
    entries.extend(made.beside.iter().map(|(binding, buffer)| entry(*binding, buffer.as_entire_buffer_binding())));
    let layout = &made.pipeline.get_bind_group_layout(0);
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
