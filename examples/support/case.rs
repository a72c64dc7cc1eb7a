//! An acceptance case: reads its file, runs it, gives back its outputs. `tests/cases/README.md` describes the format.
#![allow(dead_code, unused_imports, reason = "the example and the test each use only a part of this module")]

#[path = "case/attention.rs"]
mod attention;
#[path = "case/cache.rs"]
mod cache;
#[path = "case/file.rs"]
mod file;
#[path = "case/given.rs"]
mod given;
#[path = "case/inputs.rs"]
mod inputs;
#[path = "case/json.rs"]
mod json;
#[path = "case/module.rs"]
mod module;
#[path = "case/rope.rs"]
mod rope;
#[path = "case/standing.rs"]
mod standing;

use std::{collections::BTreeMap, error::Error as AnyError};

use wgpu_attention::{Gpu, Inputs, Outputs, Problem};

pub(crate) use self::file::{Array, Arrays, floats, open, to_bytes};
use self::{inputs::Asked, json::Fields};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn AnyError>>;

/// Keys that tell a reader something and change no number.
const REMARKS: [&str; 7] =
    ["group", "source", "notes", "fully_masked_rows", "hostile", "softmax_precision", "onnx_tolerance"];

/// What a case asks for.
#[derive(Clone, Copy, PartialEq)]
enum Op {
    Attention,
    Rope,
    Mha,
    EncoderLayer,
}

const OPS: [(&str, Op); 4] =
    [("attention", Op::Attention), ("rope", Op::Rope), ("mha", Op::Mha), ("encoder_layer", Op::EncoderLayer)];

/// How far one output may be from what is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Largest error of the naive formula in the case's element type.
    pub naive: f64,
    /// Absolute part of the floor.
    pub atol: f64,
    /// Part of the floor that grows with the expected value.
    pub rtol: f64,
}

/// A problem, and what is known of its outputs but for the outputs themselves.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// Its name, which is also that of its file.
    pub name: String,
    /// The tensors that are checked.
    pub outputs: Vec<String>,
    /// Whether it takes long.
    pub slow: bool,
    /// How many naive errors are allowed.
    pub naive_mult: f64,
    /// The bound of each output.
    pub bounds: BTreeMap<String, Bound>,
    /// The query rows of out that are checked, where not all are.
    pub sample_rows: Option<Vec<usize>>,
    task: Task<'a>,
}

/// What is run.
#[derive(Debug)]
enum Task<'a> {
    Problem(Box<Asked<'a>>),
    Module(module::Module),
}

impl<'a> Case<'a> {
    /// Reads a case; what this crate does not do yet is an [`Error::NotBuilt`](wgpu_attention::Error::NotBuilt).
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let file = open(bytes)?;
        let mut json = Fields::parse(&file::metadata(bytes)?)?;
        json.take("format", "1", |value| (value.as_u64() == Some(1)).then_some(()))?;
        let name = plain(json.text("name")?)?;
        let op = json.word("op", &OPS)?;
        json.ignore(&REMARKS);
        let outputs = json.list("outputs", "a list of names", json::text)?;
        if outputs.is_empty() {
            return Err("outputs is empty".into());
        }
        let inputs = json.list("inputs", "a list of names", json::text)?;
        if let Some(name) = file.names().into_iter().find(|&name| !inputs.iter().chain(&outputs).any(|n| n == name)) {
            return Err(format!("tensor {name} is neither an input nor an output").into());
        }
        let (slow, naive_mult, bounds) = (json.flag("slow")?, json.number("naive_mult")?, bounds(&mut json)?);
        let sample_rows = match op == Op::Attention && json.has("sample_rows") {
            true => Some(json.list("sample_rows", "a list of rows", json::size)?),
            false => None,
        };
        let mut inputs = inputs::Inputs { file, left: inputs };
        let task = match op {
            Op::Rope => Task::Problem(rope::ask(&mut json, &mut inputs, &outputs)?.into()),
            Op::Attention => {
                Task::Problem(attention::ask(&mut json, &mut inputs, &outputs, sample_rows.is_some())?.into())
            }
            Op::Mha => Task::Module(module::mha(&mut json, &mut inputs, &outputs)?),
            Op::EncoderLayer => Task::Module(module::encoder_layer(&mut json, &mut inputs, &outputs)?),
        };
        if let Some(name) = inputs.left.first() {
            return Err(format!("input {name} has no meaning here").into());
        }
        json.finish()?;
        if let Task::Problem(asked) = &task {
            asked.problem.check()?;
        }
        Ok(Self { name, outputs, slow, naive_mult, bounds, sample_rows, task })
    }

    /// The one problem that it is; `None` for a layer.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        match &self.task {
            Task::Problem(asked) => Some(&asked.problem),
            Task::Module(_) => None,
        }
    }

    /// The shape of out as it is written.
    pub(crate) fn out_shape(&self) -> &[usize] {
        match &self.task {
            Task::Problem(asked) => asked.outputs.first().map_or(&[], |(_, _, shape)| shape),
            Task::Module(module) => module.out_shape(),
        }
    }

    /// The outputs that the case names, by another way to compute a problem than a [`Gpu`]; `None` for a layer.
    pub(crate) fn run_by(
        &self,
        compute: impl FnOnce(&Problem, &Inputs<'_>) -> Result<Outputs<f32>>,
    ) -> Result<Option<Arrays>> {
        match &self.task {
            Task::Problem(asked) => asked.run_by(compute).map(Some),
            Task::Module(_) => Ok(None),
        }
    }

    /// Computes the outputs that the case names.
    pub(crate) fn run(&self, gpu: &Gpu) -> Result<Arrays> {
        match &self.task {
            Task::Problem(asked) => asked.run(gpu),
            Task::Module(module) => module.run(gpu),
        }
    }
}

impl Asked<'_> {
    fn run(&self, gpu: &Gpu) -> Result<Arrays> {
        // Refuses what the device cannot bind before memory is taken for it.
        gpu.attention().plan(&self.problem)?;
        let arrays = self.run_by(|problem, inputs| Ok(gpu.run(problem, inputs)?));
        // Each case is a problem of its own: its buffers would never serve again.
        gpu.clear();
        arrays
    }

    fn run_by(&self, compute: impl FnOnce(&Problem, &Inputs<'_>) -> Result<Outputs<f32>>) -> Result<Arrays> {
        let Asked { problem, given, .. } = self;
        let values = given.iter().map(|(tensor, given)| Ok((*tensor, given.read()?))).collect::<Result<Vec<_>>>()?;
        let inputs = values.iter().fold(Inputs::default(), |all, (tensor, values)| all.set(*tensor, values.data()));
        let outputs = compute(problem, &inputs)?;
        Ok(self.named(&inputs, &outputs))
    }

    fn named(&self, inputs: &Inputs<'_>, outputs: &Outputs<f32>) -> Arrays {
        let named = self.outputs.iter().map(|(name, tensor, shape)| {
            // Keys and values to which the device appends nothing are outputs as they are.
            let data = outputs.get(*tensor).unwrap_or_else(|| inputs.get_floats(*tensor));
            ((*name).into(), Array { shape: shape.clone(), data: data.to_vec() })
        });
        named.collect()
    }
}

/// A name that is one component of a path on every system.
fn plain(name: String) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits) {
        true => Ok(name),
        false => Err(format!("name {name:?} is not a plain file name").into()),
    }
}

fn bounds(json: &mut Fields) -> Result<BTreeMap<String, Bound>> {
    let naive = json.each("naive_err_max", Fields::number)?;
    let floors = json.each("tolerance", |floors, name| {
        let mut floor = floors.object(name)?;
        let pair = (floor.number("atol")?, floor.number("rtol")?);
        floor.finish()?;
        Ok(pair)
    })?;
    if !naive.keys().eq(floors.keys()) {
        return Err("naive_err_max and tolerance are not of the same outputs".into());
    }
    Ok(naive
        .into_iter()
        .zip(floors.into_values())
        .map(|((name, naive), (atol, rtol))| (name, Bound { naive, atol, rtol }))
        .collect())
}
