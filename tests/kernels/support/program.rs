//! Runs a program without the crate's own plan: from its texts, changed at will. Mutants run here.

use wgpu_attention::{
    Gpu, Tensor,
    kernels::{Program, Stage, Step},
    shader::{Kind, declared},
    wgpu,
};

use super::buffers::Buffers;

/// Runs every step of a program whose texts went through `change`.
pub(crate) fn run(gpu: &Gpu, program: &Program, buffers: &Buffers, change: impl Fn(String) -> String) {
    let texts: Vec<_> = program.stages.iter().map(|stage| change(stage.kernel.shader().source())).collect();
    let pipelines: Vec<_> = texts.iter().map(|text| compile(gpu, text)).collect();
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for step in &program.steps {
        let (pipeline, text) = (&pipelines[step.stage], &texts[step.stage]);
        let group = bind(gpu, pipeline, text, &program.stages[step.stage], step, buffers);
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
    stage: &Stage,
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
        .map(|declared| {
            let tensor = Tensor::ALL.into_iter().find(|tensor| tensor.name() == declared.name);
            let tensor = if tensor == Some(Tensor::Weights) { stage.weights } else { tensor };
            let buffer = match declared.kind {
                Kind::Uniform => params.as_entire_buffer_binding(),
                _ => {
                    let slice = tensor.and_then(|tensor| buffers.slice(tensor)).expect("every tensor has a buffer");
                    let size = wgpu::BufferSize::new(slice.size());
                    wgpu::BufferBinding { buffer: slice.buffer(), offset: slice.offset(), size }
                }
            };
            wgpu::BindGroupEntry { binding: declared.binding, resource: wgpu::BindingResource::Buffer(buffer) }
        })
        .collect();
    let layout = &pipeline.get_bind_group_layout(0);
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
