//! naga's writers, with all that wgpu's backends give them.

use std::collections::BTreeMap;

use naga::{
    Module, ResourceBinding, ShaderStage,
    back::{glsl, hlsl, msl, spv},
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::ModuleInfo,
};
use wgpu_attention::kernels::Needs;

/// Lowers to SPIR-V and MSL in checked and in trusted mode, to HLSL and to GLSL ES 3.10, as far as the needs of the kernel allow.
///
/// With 16-bit floats it lowers to SPIR-V with that capability alone, to HLSL of the first shader model that has them, and not
/// to GLSL ES. GLSL ES has no subgroup operations either, and HLSL no cooperative matrices.
pub(crate) fn to_all(module: &Module, info: &ModuleInfo, needs: Needs) -> Result<(), String> {
    for checked in [true, false] {
        let words = to_spirv(module, info, checked, needs).map_err(|error| format!("SPIR-V: {error}"))?;
        if words.len() <= 100 {
            return Err(format!("SPIR-V: only {} words", words.len()));
        }
        to_msl(module, info, checked).map_err(|error| format!("MSL: {error}"))?;
    }
    if !needs.matrices {
        to_hlsl(module, info, needs).map_err(|error| format!("HLSL: {error}"))?;
    }
    if needs == Needs::default() {
        return to_glsl(module, info).map(drop).map_err(|error| format!("GLSL: {error}"));
    }
    // naga's writer of GLSL panics at what it has no words for.
    let glsl = if needs.subgroups { Err(String::new()) } else { to_glsl(module, info).map(drop) };
    let spirv = to_spirv(module, info, false, Needs::default()).map(drop);
    let plain = [("SPIR-V of WebGPU's core", spirv), ("GLSL", glsl)];
    match plain.into_iter().find(|(_, lowered)| lowered.is_ok()) {
        Some((target, _)) => Err(format!("{target}: it needs nothing beyond")),
        None => Ok(()),
    }
}

/// One entry per binding of the module, numbered from 0.
fn bindings<T, M: FromIterator<(ResourceBinding, T)>>(module: &Module, target: impl Fn(u8) -> T) -> M {
    let bound = module.global_variables.iter().filter_map(|(_, var)| var.binding);
    bound.zip(0..).map(|(binding, slot)| (binding, target(slot))).collect()
}

fn policies(checked: bool) -> BoundsCheckPolicies {
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy }
}

fn main_point() -> (ShaderStage, String) {
    (ShaderStage::Compute, "main".into())
}

/// For Vulkan 1.0; for 1.1 with subgroup operations.
pub(crate) fn to_spirv(module: &Module, info: &ModuleInfo, checked: bool, needs: Needs) -> Result<Vec<u32>, String> {
    let mut capabilities = vec![spv::Capability::Shader];
    if needs.f16 {
        capabilities.push(spv::Capability::Float16);
    }
    if needs.subgroups {
        use spv::Capability::{
            GroupNonUniform, GroupNonUniformShuffle, GroupNonUniformShuffleRelative, GroupNonUniformVote,
        };
        capabilities.extend([
            GroupNonUniform,
            GroupNonUniformShuffle,
            GroupNonUniformShuffleRelative,
            GroupNonUniformVote,
        ]);
    }
    if needs.matrices {
        capabilities.extend([spv::Capability::CooperativeMatrixKHR, spv::Capability::VulkanMemoryModel]);
    }
    let info_of = |slot| spv::BindingInfo { descriptor_set: 0, binding: u32::from(slot), binding_array_size: None };
    let options = spv::Options {
        lang_version: if needs.subgroups { (1, 3) } else { (1, 0) }, // Vulkan 1.1, 1.0
        fake_missing_bindings: false,
        binding_map: bindings(module, info_of),
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: checked,
        capabilities: Some(capabilities.into_iter().collect()),
        ..Default::default()
    };
    let (shader_stage, entry_point) = main_point();
    let words = spv::write_vec(module, info, &options, Some(&spv::PipelineOptions { shader_stage, entry_point }));
    words.map_err(|error| error.to_string())
}

fn to_msl(module: &Module, info: &ModuleInfo, checked: bool) -> Result<(), String> {
    let target = |slot| msl::BindTarget { buffer: Some(slot), mutable: true, ..Default::default() };
    let resources = msl::EntryPointResources {
        resources: bindings(module, target),
        sizes_buffer: Some(30), // Metal has slots 0 to 30
        ..Default::default()
    };
    let options = msl::Options {
        lang_version: (2, 4),
        per_entry_point_map: BTreeMap::from([("main".to_string(), resources)]),
        fake_missing_bindings: false,
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: checked,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions { entry_point: Some(main_point()), ..Default::default() };
    let (text, written) = msl::write_string(module, info, &options, &pipeline).map_err(|error| error.to_string())?;
    if let Some(Err(error)) = written.entry_point_names.into_iter().next() {
        return Err(error.to_string());
    }
    contains(&text, "kernel void")
}

pub(crate) fn to_hlsl(module: &Module, info: &ModuleInfo, needs: Needs) -> Result<String, String> {
    let target = |slot| hlsl::BindTarget { register: u32::from(slot), ..Default::default() };
    let options = hlsl::Options {
        shader_model: match needs {
            Needs { f16: true, .. } => hlsl::ShaderModel::V6_2,
            Needs { subgroups: true, .. } => hlsl::ShaderModel::V6_0,
            _ => hlsl::ShaderModel::V5_1, // FXC takes no more
        },
        binding_map: bindings(module, target),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some(main_point()) };
    let mut text = String::new();
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    let written = writer.write(module, info, None).map_err(|error| error.to_string())?;
    if let Some(Err(error)) = written.entry_point_names.into_iter().next() {
        return Err(error.to_string());
    }
    contains(&text, "[numthreads(").map(|()| text)
}

pub(crate) fn to_glsl(module: &Module, info: &ModuleInfo) -> Result<String, String> {
    let options = glsl::Options {
        version: glsl::Version::new_gles(310),
        binding_map: bindings(module, |slot| slot),
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let (shader_stage, entry_point) = main_point();
    let pipeline = glsl::PipelineOptions { shader_stage, entry_point, multiview: None };
    let mut text = String::new();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies(false));
    writer.and_then(|mut writer| writer.write()).map_err(|error| error.to_string())?;
    contains(&text, "#version 310 es").map(|()| text)
}

fn contains(text: &str, wanted: &str) -> Result<(), String> {
    if text.contains(wanted) { Ok(()) } else { Err(format!("no {wanted} in it")) }
}
