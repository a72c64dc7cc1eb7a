//! Every kernel's text, without a device: naga parses, validates and lowers it, and it is what its host file says it is.

mod choices;
pub(crate) mod lower;
mod uniform;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use crate::every_kernel::every_kernel;
use naga::{
    AddressSpace, Expression, Literal, Module, ScalarKind, StorageAccess, TypeInner,
    proc::Layouter,
    valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator},
};
use wgpu_attention::{
    Caps, DeviceKind,
    kernels::{Kernel, Needs},
    shader::{Params, Slot, Source},
    wgpu,
};

/// A kernel whose text naga accepts with no capability beyond WebGPU's, but those that it says it needs.
pub(crate) struct Reflected {
    pub(crate) kernel: Kernel,
    pub(crate) source: Source,
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
}

fn reflect(kernel: Kernel) -> Reflected {
    let source = kernel.shader().source();
    let valid = validated(&source.wgsl, kernel.shader().needs());
    let (module, info) = valid.unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    Reflected { kernel, source, module, info }
}

fn validated(wgsl: &str, needs: Needs) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SHADER_FLOAT16, needs.f16);
    capabilities.set(Capabilities::SUBGROUP, needs.subgroups);
    capabilities.set(Capabilities::SUBGROUP_BARRIER | Capabilities::COOPERATIVE_MATRIX, needs.matrices);
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_operations(if needs.subgroups { SubgroupOperationSet::all() } else { SubgroupOperationSet::empty() })
        .subgroup_stages(if needs.subgroups { ShaderStages::COMPUTE } else { ShaderStages::empty() })
        .validate(&module);
    Ok((module, info.map_err(|error| error.emit_to_string(wgsl))?))
}

/// A device with no more than WebGPU promises, and one with 16-bit floats beside.
fn least() -> [Caps; 2] {
    [Caps::webgpu(), Caps { f16: true, ..Caps::webgpu() }]
}

/// Devices with more: memory; subgroups, on a CPU or not; matrices, large and small.
fn more() -> [Caps; 7] {
    let large = Caps { workgroup_bytes: 32768, invocations: 1024, ..Caps::webgpu() };
    let cpu = Caps { kind: DeviceKind::Cpu, ..large.clone() };
    let matrices = Caps { f16: true, matrix: Some(16), subgroups: Some([32, 32]), ..large.clone() };
    [
        Caps { subgroups: Some([4, 128]), kind: DeviceKind::Cpu, ..Caps::webgpu() },
        Caps { subgroups: Some([8, 8]), f16: true, matrix: Some(8), ..cpu.clone() },
        Caps { workgroup_bytes: 49152, ..matrices.clone() },
        Caps { matrix: Some(8), ..matrices.clone() },
        large,
        cpu,
        matrices,
    ]
}

/// Every kernel of all these devices.
pub(crate) static KERNELS: LazyLock<Vec<Reflected>> =
    LazyLock::new(|| every_kernel(&[&least()[..], &more()[..]].concat()).into_iter().map(reflect).collect());

/// Runs a check of every kernel and names those that fail.
fn each(check: impl Fn(&Reflected) -> Result<(), String>) {
    let failures: Vec<_> = KERNELS
        .iter()
        .filter_map(|reflected| check(reflected).err().map(|why| format!("{:?}: {why}", reflected.kernel)))
        .collect();
    let first = failures.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} kernels fail:\n{first}", failures.len(), KERNELS.len());
}

/// Errs unless both are equal.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found:?}, not {wanted:?}")) }
}

#[test]
fn lower_to_every_target() {
    each(|Reflected { kernel, module, info, .. }| lower::to_all(module, info, kernel.shader().needs()));
    let mut needs = BTreeMap::new();
    for reflected in &*KERNELS {
        *needs.entry(format!("{:?}", reflected.kernel.shader().needs())).or_insert(0) += 1;
    }
    println!("{needs:#?} of {} kernels", KERNELS.len());
    assert!(needs[&format!("{:?}", Needs::default())] > KERNELS.len() / 4 && needs.len() == 4, "few kinds of needs");
}

#[test]
fn barriers_stand_in_uniform_control_flow() {
    each(|reflected| uniform::check(&reflected.module));
}

fn workgroup_sizes(module: &Module) -> Vec<u32> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).expect("a validated module has layouts");
    let workgroup = module.global_variables.iter().filter(|(_, var)| var.space == AddressSpace::WorkGroup);
    workgroup.map(|(_, var)| layouter[var.ty].size).collect()
}

#[test]
fn workgroups_are_what_the_host_says() {
    each(|Reflected { kernel, module, .. }| {
        let workgroup = kernel.shader().workgroup();
        let points: Vec<_> = module.entry_points.iter().map(|e| (e.name.as_str(), e.stage, e.workgroup_size)).collect();
        same("entry points", &points, &vec![("main", naga::ShaderStage::Compute, [workgroup.invocations, 1, 1])])?;
        same("workgroup memory", &workgroup_sizes(module).iter().sum(), &workgroup.bytes)
    });
}

#[test]
fn fit_the_default_limits() {
    let limits = wgpu::Limits::default();
    for kernel in every_kernel(&least()) {
        let module = reflect(kernel).module;
        // As WebGPU counts: each variable rounded up to 16 bytes.
        let bytes: u32 = workgroup_sizes(&module).iter().map(|size| size.next_multiple_of(16)).sum();
        assert!(bytes <= limits.max_compute_workgroup_storage_size, "{kernel:?}: {bytes} bytes");
        let invocations: u32 = module.entry_points[0].workgroup_size.iter().product();
        assert!(invocations <= limits.max_compute_invocations_per_workgroup, "{kernel:?}: {invocations} invocations");
        let storage = globals(&module).iter().filter(|(binding, ..)| *binding > 0).count();
        assert!(storage <= limits.max_storage_buffers_per_shader_stage as usize, "{kernel:?}: {storage} buffers");
    }
}

/// A binding: its number, its name, and whether it is writable; the uniform is not.
type Global = (u32, String, bool);

/// naga's own list of bindings, in group 0 and by number.
fn globals(module: &Module) -> Vec<Global> {
    let mut all: Vec<_> = module.global_variables.iter().filter_map(|(_, var)| global(var)).collect();
    all.sort();
    all
}

fn global(var: &naga::GlobalVariable) -> Option<Global> {
    let writable = match var.space {
        AddressSpace::Uniform => false,
        AddressSpace::Storage { access } if access == StorageAccess::LOAD => false,
        AddressSpace::Storage { access } if access == StorageAccess::LOAD | StorageAccess::STORE => true,
        AddressSpace::WorkGroup => return None,
        other => panic!("{:?} lies in {other:?}", var.name),
    };
    let at = var.binding.expect("a uniform or storage variable has a binding");
    assert_eq!(at.group, 0, "{:?}", var.name);
    Some((at.binding, var.name.clone()?, writable))
}

#[test]
fn sources_list_what_naga_lists() {
    each(|Reflected { source, module, .. }| {
        let listed = source.bindings.iter();
        let listed = listed.map(|binding| (binding.slot.binding(), binding.slot.name().to_string(), binding.writable));
        let mut found: Vec<_> = std::iter::once((0, "params".into(), false)).chain(listed).collect();
        found.sort();
        same("bindings", &found, &globals(module))
    });
}

/// No place is left unread, none is declared twice, and there are no more than the uniform holds.
#[test]
fn places_are_those_of_the_text() {
    let mut most = 0;
    each(|Reflected { source, .. }| {
        let slots: BTreeSet<_> = source.places.iter().map(|slot| slot.name()).collect();
        same("places", &slots.len(), &source.places.len())?;
        for (index, slot) in source.places.iter().enumerate() {
            let call = format!("{}_row(", slot.name());
            let uses = source.wgsl.matches(&call).count();
            let read = source.wgsl.contains(&format!("params.places[{index}]"));
            if uses < 2 || !read {
                return Err(format!("{} is declared and not used", slot.name()));
            }
        }
        Ok(())
    });
    for reflected in KERNELS.iter() {
        most = most.max(reflected.source.places.len());
    }
    println!("at most {most} places of {}", Params::PLACES);
    assert!(most <= Params::PLACES && Slot::States.name() == "states");
}

/// What a kernel says that it needs is enough, since its text validates with no more; and nothing of it can go.
#[test]
fn kernels_need_no_less_than_they_say() {
    let lists = |needs: Needs| {
        let without =
            [Needs { f16: false, ..needs }, Needs { subgroups: false, ..needs }, Needs { matrices: false, ..needs }];
        without.into_iter().filter(move |less| *less != needs)
    };
    each(|Reflected { kernel, source, .. }| {
        for less in lists(kernel.shader().needs()) {
            // Matrices take what the other two give.
            let matrices = kernel.shader().needs().matrices && less.matrices;
            if !matrices && validated(&source.wgsl, less).is_ok() {
                return Err(format!("it says it needs {:?}, and does with {less:?}", kernel.shader().needs()));
            }
        }
        Ok(())
    });
}

#[test]
fn binding_numbers_mean_the_same_in_all_kernels() {
    let all = KERNELS.iter().flat_map(|reflected| globals(&reflected.module));
    let pairs: BTreeSet<_> = all.map(|(binding, name, _)| (binding, name)).collect();
    let (by_number, by_name): (BTreeMap<_, _>, BTreeMap<_, _>) =
        pairs.iter().map(|(number, name)| ((number, name), (name, number))).unzip();
    assert_eq!((by_number.len(), by_name.len()), (pairs.len(), pairs.len()), "{pairs:?}");
}

/// `(name, type, offset)` of each field of the WGSL struct behind `params`, and its size.
fn params_of(module: &Module) -> (Vec<(String, String, usize)>, usize) {
    let (_, var) = module.global_variables.iter().find(|(_, var)| var.name.as_deref() == Some("params")).unwrap();
    let TypeInner::Struct { members, span } = &module.types[var.ty].inner else { panic!("params is no struct") };
    let scalar = |kind, width| match (kind, width) {
        (ScalarKind::Uint, 4) => "u32",
        (ScalarKind::Sint, 4) => "i32",
        (ScalarKind::Float, 4) => "f32",
        other => panic!("no host type for {other:?}"),
    };
    let element = |inner: &TypeInner| match inner {
        TypeInner::Scalar(s) => scalar(s.kind, s.width).to_string(),
        TypeInner::Vector { size, scalar: s } => format!("[{}; {}]", scalar(s.kind, s.width), *size as u8),
        other => panic!("no host type for {other:?}"),
    };
    let host = |inner: &TypeInner| match inner {
        TypeInner::Array { base, size: naga::ArraySize::Constant(size), .. } => {
            format!("[{}; {size}]", element(&module.types[*base].inner))
        }
        other => element(other),
    };
    let field = |m: &naga::StructMember| {
        (m.name.clone().unwrap_or_default(), host(&module.types[m.ty].inner), m.offset as usize)
    };
    (members.iter().map(field).collect(), *span as usize)
}

#[test]
fn params_are_the_struct_of_the_shaders() {
    let fields = Params::FIELDS.iter().map(|&(name, ty, offset)| (name.to_string(), ty.to_string(), offset));
    let host = (fields.collect(), size_of::<Params>());
    each(|reflected| same("params", &params_of(&reflected.module), &host));
}

/// The literals of a module that no finite f32 holds, and floats made of literal bits.
fn unsafe_floats(module: &Module) -> Vec<String> {
    let functions = module.functions.iter().map(|(_, function)| &function.expressions);
    let points = module.entry_points.iter().map(|point| &point.function.expressions);
    let arenas = std::iter::once(&module.global_expressions).chain(functions).chain(points);
    let finite = |expression: &Expression, arena: &naga::Arena<Expression>| match *expression {
        Expression::Literal(Literal::F32(x)) => x.is_finite(),
        Expression::Literal(Literal::F64(x) | Literal::AbstractFloat(x)) => (x as f32).is_finite(),
        Expression::As { expr, kind: ScalarKind::Float, convert: None } => {
            !matches!(arena[expr], Expression::Literal(_) | Expression::Constant(_))
        }
        _ => true,
    };
    let odd = |arena| {
        let all = naga::Arena::<Expression>::iter(arena);
        all.filter(|(_, e)| !finite(e, arena)).map(|(_, e)| format!("{e:?}")).collect::<Vec<_>>()
    };
    arenas.flat_map(odd).collect()
}

#[test]
fn no_literal_is_infinite() {
    each(|reflected| same("floats", &unsafe_floats(&reflected.module), &vec![]));
    let bits = "fn f() -> f32 { return bitcast<f32>(0xff800000u); }";
    assert!(validated(bits, Needs::default()).map_or(true, |(module, _)| !unsafe_floats(&module).is_empty()));
    assert!(validated("const X: f32 = 1e39;", Needs::default()).is_err());
}

/// What is wrong with the header of a file of shaders/.
fn header_faults(text: &str) -> Vec<String> {
    let first = text.lines().next().unwrap_or_default();
    let mut faults = Vec::new();
    if !(first.starts_with("// ") && first.ends_with('.')) {
        faults.push(format!("its first line is no sentence in a comment: {first:?}"));
    }
    let header = text.lines().take_while(|line| line.starts_with("//"));
    let hosts: Vec<_> =
        header.clone().filter_map(|line| line.strip_prefix("// Host ")).flat_map(|h| h.split(',')).collect();
    if hosts.is_empty() {
        faults.push("it has no line `// Host`".into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names: BTreeSet<_> = shader_files().into_iter().map(|(name, _)| name).collect();
    let words = header.flat_map(|line| line.split([' ', ',', ':', ';']));
    let parts = words.map(|word| word.trim_end_matches('.')).filter(|word| word.ends_with(".wgsl"));
    let lacks = |part: &&str| !names.contains(part.trim_end_matches(".wgsl"));
    faults.extend(parts.filter(lacks).map(|part| format!("it names {part}, which is no file")));
    faults.extend(hosts.iter().filter(|h| !root.join(h.trim()).is_file()).map(|h| format!("there is no {h}")));
    faults
}

/// Every file below shaders/: its name without folder and ending, which no other has, and its text.
fn shader_files() -> Vec<(String, String)> {
    fn visit(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in folder.read_dir().expect("shaders/ can be read") {
            let path = entry.expect("shaders/ can be read").path();
            if path.is_dir() {
                visit(&path, found);
            } else {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).expect("a shader is text")));
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders"), &mut found);
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), found.len(), "two shaders have the same name");
    found
}

#[test]
fn files_have_headers_and_uses() {
    let mut faults = Vec::new();
    for (name, text) in shader_files() {
        faults.extend(header_faults(&text).into_iter().map(|fault| format!("{name}: {fault}")));
        if !KERNELS.iter().any(|reflected| reflected.source.wgsl.contains(&text)) {
            faults.push(format!("{name}: no kernel uses it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(header_faults("fn f() {}").len(), 2);
    assert_eq!(header_faults("// It has a sentence.\n// Host  src/no_such.rs\n").len(), 1);
    assert_eq!(
        header_faults(
            "// It has a sentence.\n// Needs  block.wgsl, blocks.wgsl\n// Host  src/problem/attention/spec.rs\n"
        )
        .len(),
        1
    );
}
