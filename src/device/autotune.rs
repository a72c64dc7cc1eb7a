//! Which algorithm is the fastest for a class of problems on a device, by measurement.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    caps::Caps,
    kernels::forward::algorithm::Algorithm,
    problem::attention::{mask::Mask, spec::Spec},
};

/// The fastest algorithm for each class of problems, adapter and driver that was tuned.
///
/// A class is what decides which algorithm wins: types, dimensions, masks and kinds of lengths as they are; lengths, and heads of all items
/// together, within a factor of two. [`Attention::with_autotune`](crate::Attention::with_autotune) plans accordingly.
///
/// ```no_run
/// use wgpu_attention::{Autotune, Gpu, Shape, Spec};
/// let gpu = Gpu::new()?;
/// let spec = Spec::new(Shape { batch: 1, q_heads: 8, kv_heads: 8, q_len: 512, kv_len: 512, head_dim: 64, value_dim: 64 });
/// let known = std::fs::read_to_string("tuned.txt").ok().and_then(|text| text.parse().ok());
/// let mut tuned: Autotune = known.unwrap_or_default();
/// tuned.tune(gpu.attention(), gpu.queue(), &spec)?; // measures what it does not know
/// std::fs::write("tuned.txt", tuned.to_string())?;
/// let plan = gpu.attention().with_autotune(&tuned).plan(&spec)?;
/// println!("{}", plan.explain());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autotune {
    fastest: BTreeMap<String, Algorithm>,
}

impl Autotune {
    /// What was measured for the class of a problem on this device; nothing for one that cannot be computed.
    #[must_use]
    pub fn get(&self, spec: &Spec, caps: &Caps) -> Option<Algorithm> {
        spec.check().ok()?;
        self.fastest.get(&class(spec, caps)).copied()
    }

    /// Keeps what was measured.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn set(&mut self, spec: &Spec, caps: &Caps, fastest: Algorithm) {
        self.fastest.insert(class(spec, caps), fastest);
    }
}

/// The class of a problem on a device, a line of text.
fn class(spec: &Spec, caps: &Caps) -> String {
    let s = spec.shape();
    let about = |n: u32| u64::from(n).next_power_of_two();
    let heads = about(s.batch.saturating_mul(s.kv_heads));
    let lengths = match (spec.sequences, spec.kv_lens) {
        (Some(sequences), _) => format!(" packed{}", about(sequences)),
        (None, true) => " kv_lens".into(),
        (None, false) => String::new(),
    };
    let additive = if spec.additive { " additive" } else { "" };
    let masked = if spec.is_masked() { " masked" } else { "" };
    let band = if spec.mask == Mask::FULL { "full" } else { "band" };
    let means = if caps.matrix.is_some() { " matrix" } else { "" };
    format!(
        "{} | {}{means} | q {} kv {} out {} dims {} {} lengths {} {} heads {heads} group {} {band}{masked}{lengths}{additive}",
        caps.adapter,
        caps.driver,
        spec.types.q,
        spec.types.kv,
        if spec.out { spec.types.out.to_string() } else { "none".into() },
        s.head_dim,
        s.value_dim,
        about(s.q_len),
        about(s.kv_len),
        s.q_heads / s.kv_heads,
    )
}

/// A line for each class: the algorithm, a tab, the class.
impl fmt::Display for Autotune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fastest.iter().try_for_each(|(class, algorithm)| writeln!(f, "{algorithm}\t{class}"))
    }
}

/// Reads what was printed; says which line is none.
impl FromStr for Autotune {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let line = |(number, line): (usize, &str)| {
            let (algorithm, class) = line.split_once('\t').ok_or(format!("line {}: there is no tab", number + 1))?;
            let algorithm = algorithm.parse().map_err(|error| format!("line {}: {error}", number + 1))?;
            Ok((class.to_string(), algorithm))
        };
        let fastest = text.lines().enumerate().map(line).collect::<Result<_, String>>()?;
        Ok(Self { fastest })
    }
}
