//! How a plan will run, in words.

use std::fmt::{self, Display, Formatter};

use crate::{
    kernels::{Stage, Workgroup},
    mask::Band,
    plan::Plan,
    shape::Shape,
    spec::Spec,
};

/// What [`Plan::explain`] says; print it.
#[derive(Clone, Debug)]
pub struct Explanation(Plan);

impl Plan {
    /// The problem, the device, the algorithm and why, each kernel's tile, the tiles that the mask empties, dispatches, memory.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        Explanation(self.clone())
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let planned = &*self.0.inner;
        let (spec, program) = (&planned.spec, &planned.program);
        let shape = spec.shape();
        writeln!(f, "algorithm   {}: {}", program.algorithm, program.because)?;
        writeln!(
            f,
            "problem     batch {}, {} query heads, {} key heads, {} queries x {} keys",
            shape.batch, shape.q_heads, shape.kv_heads, shape.q_len, shape.kv_len
        )?;
        writeln!(f, "            head_dim {}, value_dim {}, {}", shape.head_dim, shape.value_dim, mask_in_words(spec))?;
        writeln!(
            f,
            "precision   q {}, k and v {}, out {}; accumulated in f32",
            spec.types.q, spec.types.kv, spec.types.out
        )?;
        writeln!(f, "device      {}", planned.caps.adapter)?;
        for stage in &program.stages {
            kernel_in_words(f, stage, spec, planned.caps.workgroup_bytes)?;
        }
        let (steps, workspace, parameters) = (self.0.steps(), self.0.workspace_bytes(), self.0.parameter_bytes());
        let dispatches = if steps == 1 { "dispatch" } else { "dispatches" };
        write!(f, "cost        {steps} {dispatches}; beside the tensors {} bytes of memory", workspace + parameters)
    }
}

fn kernel_in_words(f: &mut Formatter<'_>, stage: &Stage, spec: &Spec, device_bytes: u32) -> fmt::Result {
    let shader = stage.kernel.shader();
    let Workgroup { invocations, bytes, rows, keys } = shader.workgroup();
    write!(
        f,
        "{:<11} {invocations} invocations, {bytes} of {device_bytes} bytes of workgroup memory, ",
        shader.name()
    )?;
    writeln!(f, "reads {}", shader.loads())?;
    if keys > 0 {
        let (computed, all) = tiles(spec.shape(), stage.band, [rows, keys]);
        write!(f, "            tiles of {rows} queries x {keys} keys, {computed} for each head")?;
        match all - computed {
            0 => writeln!(f)?,
            skipped => writeln!(f, "; {skipped} more that the mask empties are skipped")?,
        }
    }
    Ok(())
}

/// Tiles of one head that some query sees, and all of them.
fn tiles(shape: &Shape, band: Band, [rows, keys]: [u32; 2]) -> (u64, u64) {
    let blocks = shape.q_len.div_ceil(rows);
    let visited = |block: u32| {
        let last = (block * rows + rows).min(shape.q_len) - 1;
        let first = band.keys(block * rows, shape.kv_len).start / keys;
        u64::from(band.keys(last, shape.kv_len).end.div_ceil(keys).saturating_sub(first))
    };
    let all = u64::from(blocks) * u64::from(shape.kv_len.div_ceil(keys));
    if band == Band::FULL { (all, all) } else { ((0..blocks).map(visited).sum(), all) }
}

fn mask_in_words(spec: &Spec) -> String {
    let band = spec.band();
    match (band.lo > Band::FULL.lo, band.hi < Band::FULL.hi) {
        (false, false) => "every key seen".into(),
        (false, true) => format!("query i sees keys up to i{:+}", band.hi),
        (true, false) => format!("query i sees keys from i{:+}", band.lo),
        (true, true) => format!("query i sees keys i{:+} to i{:+}", band.lo, band.hi),
    }
}
