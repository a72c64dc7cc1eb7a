//! Runs a program without the crate's own plan: from its texts, changed at will. Mutants run here.

use std::collections::HashMap;

use wgpu_attention::{
    Gpu,
    kernels::{Group, Program, Step},
    shader::{Kind, declared},
    wgpu,
};

use super::buffers::Buffers;

/// Pipelines by their texts: a mutant changes one text of several.
pub(crate) type Compiled = HashMap<String, wgpu::ComputePipeline>;

/// Runs every step of a program whose texts went through `change`.
pub(crate) fn run(
    gpu: &Gpu,
    program: &Program,
    buffers: &Buffers,
    compiled: &mut Compiled,
    change: impl Fn(String) -> String,
) {
    let texts: Vec<_> = program.kernels.iter().map(|kernel| change(kernel.shader().source())).collect();
    let pipelines: Vec<_> =
        texts.iter().map(|text| compiled.entry(text.clone()).or_insert_with(|| compile(gpu, text)).clone()).collect();
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for step in &program.steps {
        let group = &program.groups[step.group];
        let (pipeline, text) = (&pipelines[group.kernel], &texts[group.kernel]);
        let group = bind(gpu, pipeline, text, group, step, buffers);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(step.grid[0], step.grid[1], 1);
    }
    gpu.queue().submit([encoder.finish()]);
}

fn compile(gpu: &Gpu, text: &str) -> wgpu::ComputePipeline {
    let source = wgpu::ShaderSource::Wgsl(text.into());
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

fn bind(
    gpu: &Gpu,
    pipeline: &wgpu::ComputePipeline,
    text: &str,
    group: &Group,
    step: &Step,
    buffers: &Buffers,
) -> wgpu::BindGroup {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let size = size_of_val(&step.params) as u64;
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    let params = gpu.device().create_buffer(&descriptor);
    gpu.queue().write_buffer(&params, 0, bytemuck::bytes_of(&step.params));
    let entries: Vec<_> = declared(text)
        .iter()
        .filter_map(|declared| {
            let buffer = match declared.kind {
                Kind::Uniform => params.as_entire_buffer_binding(),
                _ => {
                    let window = group.windows.iter().find(|window| window.binding == declared.name)?;
                    let slice = buffers.slice(window.tensor).expect("every tensor has a buffer");
                    let size = wgpu::BufferSize::new(window.bytes.end - window.bytes.start);
                    wgpu::BufferBinding { buffer: slice.buffer(), offset: slice.offset() + window.bytes.start, size }
                }
            };
            Some(wgpu::BindGroupEntry { binding: declared.binding, resource: wgpu::BindingResource::Buffer(buffer) })
        })
        .collect();
    let layout = &pipeline.get_bind_group_layout(0);
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
