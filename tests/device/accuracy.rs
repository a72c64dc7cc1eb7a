//! The bound that docs/accuracy.md promises, held by every kernel over inputs of every kind, and at length.

use wgpu_attention::{Algorithm, DType, Gpu};

#[path = "../../examples/support/accuracy.rs"]
mod measured;

use measured::{Kind, Setting, promised};

fn hold(settings: impl IntoIterator<Item = Setting>) {
    let (gpu, mut ran) = (Gpu::experimental().unwrap_or_else(|error| panic!("{error}")), 0);
    for (setting, kind) in settings.into_iter().flat_map(|setting| Kind::ALL.map(|kind| (setting, kind))) {
        let Some(errors) = setting.errors(&gpu, kind).expect("it runs") else { continue };
        let (largest, most) = (errors.largest(), promised(setting.algorithm));
        println!("{setting:?} {kind:?}: {largest:.3}, typically {:.3}", errors.typical());
        assert!(largest <= most, "{setting:?} {kind:?}: {largest} units, {most} are promised");
        ran += 1;
    }
    assert!(ran >= 3 * Kind::ALL.len(), "three kernels run everywhere");
}

#[test]
#[ignore = "needs an adapter"]
fn every_kernel_keeps_its_bound() {
    let types = |algorithm| [DType::F32, DType::F16, DType::Bf16].map(|dtype| (algorithm, dtype));
    let settings = Algorithm::ALL.into_iter().flat_map(types);
    let narrow = settings.map(|(algorithm, dtype)| Setting { algorithm, dtype, head_dim: 16, kv_len: 512 });
    let wide = Algorithm::ALL.map(|algorithm| Setting { algorithm, dtype: DType::F16, head_dim: 128, kv_len: 512 });
    hold(narrow.chain(wide));
}

#[test]
#[ignore = "needs an adapter"]
fn long_rows_keep_the_bound() {
    hold(Algorithm::ALL.map(|algorithm| Setting { algorithm, dtype: DType::F32, head_dim: 16, kv_len: 131_072 }));
}
