//! Which dispatches compute a problem: kernels, what each binds, and the steps in order.

pub(crate) mod attention;
pub(crate) mod builder;
pub(crate) mod layers;
pub(crate) mod region;
pub(crate) mod rows;
pub(crate) mod weights;
pub(crate) mod workspace;

pub use crate::program::builder::{Group, Program, Step, Window};
use crate::{
    caps::Caps,
    error::Error,
    kernels::forward::algorithm::Choice,
    problem::{Problem, attention::spec::Spec, measures::Measures},
    program::{attention::Pieces, builder::Builder},
};

impl Program {
    /// The program for a problem, by the algorithm that was chosen or the one that suits it.
    pub fn new(problem: impl Into<Problem>, caps: &Caps, choice: Choice) -> Result<Self, Error> {
        let problem = problem.into();
        problem.check()?;
        let mut builder = Builder::new(caps);
        match &problem {
            Problem::Attention(spec) => attention(&mut builder, spec, choice, None)?,
            Problem::Measures(measures) => attention(&mut builder, &measures.spec, choice, Some(measures))?,
            Problem::Rope(rope) => builder.rope(rope)?,
            Problem::Merge(merge) => builder.merge(merge)?,
            Problem::Divergence(divergence) => builder.divergence(divergence)?,
            Problem::Linear(linear) => builder.linear(linear)?,
            Problem::Norm(norm) => builder.norm(norm)?,
            Problem::Embed(embed) => builder.embed(embed)?,
            Problem::Locate(locate) => builder.locate(locate)?,
        }
        check_workspace(&builder.program)?;
        Ok(builder.program)
    }
}

/// Its words are numbered with 32 bits.
fn check_workspace(program: &Program) -> Result<(), Error> {
    let (got, max) = (program.workspace_bytes / 4, u64::from(u32::MAX));
    if got > max { Err(Error::TooLarge { name: "the number of words of the workspace", got, max }) } else { Ok(()) }
}

fn attention(builder: &mut Builder<'_>, spec: &Spec, choice: Choice, measures: Option<&Measures>) -> Result<(), Error> {
    let turned = rows::append(builder, spec)?;
    let spec = &spec.turned_queries();
    let measures = measures.map(|measures| Measures { spec: spec.clone(), ..measures.clone() });
    let (algorithm, forward, because) = choice.kernel(spec, builder.caps)?;
    (builder.program.algorithm, builder.program.because) = (Some(algorithm), because);
    let mut attention = Pieces::new(builder, spec, measures.as_ref(), forward, turned);
    attention.clear()?;
    attention.pack()?;
    if spec.out || spec.lse || spec.weights {
        attention.forward()?;
    }
    if let Some(stage) = spec.scores {
        let region = attention.only();
        attention.scores(&region, Some(stage), None)?;
    }
    Ok(())
}
