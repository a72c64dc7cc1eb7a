//! Kernels with one fault each must be caught: the tests of this binary can fail. The lists of faults are grouped by what they
//! change; each stands beside the cases that catch them, and all go through one hunt.

mod forward;
mod layers;
mod rows;
mod score;
mod weights;

use std::{collections::BTreeSet, fmt::Debug};

use wgpu_attention::{Caps, Problem, Shape, kernels::Choice, program::Program};

use crate::support::{
    Case, gpu,
    program::{self, Compiled},
};

/// A fault: in every shader text, this becomes that.
#[derive(Clone, Copy)]
struct Mutant {
    what: &'static str,
    old: &'static str,
    new: &'static str,
}

const fn mutant(what: &'static str, old: &'static str, new: &'static str) -> Mutant {
    Mutant { what, old, new }
}

/// The shape of most cases: rows and keys end inside tiles, heads share keys, dimensions are no powers of two.
const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 45, kv_len: 150, head_dim: 20, value_dim: 12 };

/// The kernels themselves pass every case. Each mutant stands in the text of some of them, and fails at least one case.
fn hunt<P>(cases: &[Case<P>], caps: &Caps, choice: Choice, mutants: &[Mutant])
where
    P: Clone + Debug + Into<Problem>,
{
    let (gpu, mut compiled) = (gpu(), Compiled::new());
    let mut unknown: BTreeSet<_> = mutants.iter().map(|mutant| mutant.what).collect();
    assert_eq!(unknown.len(), mutants.len(), "each has a name of its own");
    let mut escaped = unknown.clone();
    for case in cases {
        let program = Program::new(case.spec.clone(), caps, choice).expect("a legal problem");
        let texts: Vec<_> = program.kernels.iter().map(|kernel| kernel.shader().source()).collect();
        let mut verdict =
            |change: &dyn Fn(String) -> String| program::verdict(&gpu, case, &program, &mut compiled, change);
        verdict(&|text| text).unwrap_or_else(|why| panic!("the kernels themselves fail: {:?}: {why}", case.spec));
        for Mutant { what, old, new } in
            mutants.iter().filter(|mutant| texts.iter().any(|text| text.wgsl.contains(mutant.old)))
        {
            unknown.remove(what);
            if !escaped.contains(what) {
                continue;
            }
            if let Err(why) = verdict(&|text| text.replace(old, new)) {
                println!("caught: {what}: {why}");
                escaped.remove(what);
            }
        }
    }
    assert!(unknown.is_empty(), "no kernel has the text of {unknown:?}");
    assert!(escaped.is_empty(), "went unnoticed: {escaped:?}");
    println!("{} mutants caught", mutants.len());
}

/// How many mutants the lists held when they were last counted: there may be more, and never fewer.
const LEAST: usize = 190;

#[test]
fn no_mutant_is_lost() {
    let lists = [
        ("forward", include_str!("forward.rs")),
        ("score", include_str!("score.rs")),
        ("weights", include_str!("weights.rs")),
        ("rows", include_str!("rows.rs")),
        ("layers", include_str!("layers.rs")),
    ];
    let counts = lists.map(|(name, text)| (name, text.matches(" mutant(").count()));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    println!("{total} mutants: {counts:?}");
    assert!(total >= LEAST, "{total} mutants, {LEAST} before");
}
