//! Op `attention`, as a [`Spec`].

use safetensors::Dtype;
use wgpu_attention::{Error, Layout, ScoreStage, Shape, Slopes, Spec, Tensor};

use super::{
    Result,
    cache::{self, Past},
    file::DTYPES,
    given::{Given, Source, common},
    inputs::{Asked, FORMS, Form, Inputs},
    json::{self, Fields},
    standing::{self, Lengths},
};

/// What is asked of a device, as it grows.
pub(super) struct Draft<'a> {
    pub(super) spec: Spec,
    pub(super) given: Vec<(Tensor, Given<'a>)>,
}

impl<'a> Draft<'a> {
    /// Adds to the spec, and a tensor that this needs.
    pub(super) fn with(self, tensor: Tensor, given: Given<'a>, change: impl FnOnce(Spec) -> Spec) -> Self {
        let Self { spec, given: mut all } = self;
        all.push((tensor, given));
        Self { spec: change(spec), given: all }
    }

    fn map(self, change: impl FnOnce(Spec) -> Spec) -> Self {
        Self { spec: change(self.spec), ..self }
    }
}

pub(super) fn ask<'a>(
    json: &mut Fields,
    inputs: &mut Inputs<'a>,
    outputs: &[String],
    sampled: bool,
) -> Result<Asked<'a>> {
    let gradient = |name: &&String| matches!(name.as_str(), "dq" | "dk" | "dv" | "dbias");
    if inputs.take("dout")?.is_some() || outputs.iter().any(|name| gradient(&name)) {
        return Err(Error::NotBuilt { feature: "backward pass" }.into());
    }
    let form = json.word("layout", &FORMS)?;
    if sampled && form != Form::Bhsd {
        return Err("sample_rows needs layout bhsd".into());
    }
    let heads = (json.count("q_heads")?, json.count("kv_heads")?);
    let [q, k, v] = sources(json, inputs)?;
    let shape = shape(form, heads, [&q, &k, &v])?;
    let presents = outputs.iter().any(|name| matches!(name.as_str(), "present_k" | "present_v"));
    let past = Past::take(inputs, &shape, presents)?;
    let shape = Shape { kv_len: shape.kv_len.saturating_add(past.as_ref().map_or(0, |past| past.len)), ..shape };
    let lengths = Lengths::take(form, inputs, &shape)?;

    let spec = Spec::new(shape).order(form.order()).q_type(q.dtype);
    let draft = Draft { spec, given: vec![(Tensor::Q, Given::Floats(q))] };
    let draft = match past {
        Some(past) => cache::fill(draft, past, [k, v], form, lengths.is_read())?,
        None => draft.map(|spec| spec.kv_type(common([&k, &v]))).keys(k, v),
    };
    let draft = scoring(draft, json, inputs, lengths.items(&shape))?;
    let draft = standing::stand(draft, json, lengths)?;
    let (spec, outputs) = wanted(draft.spec, json, form, outputs, sampled)?;
    Ok(Asked { problem: spec.into(), given: draft.given, outputs })
}

impl<'a> Draft<'a> {
    fn keys(mut self, k: Source<'a>, v: Source<'a>) -> Self {
        self.given.extend([(Tensor::K, Given::Floats(k)), (Tensor::V, Given::Floats(v))]);
        self
    }
}

fn sources<'a>(json: &mut Fields, inputs: &mut Inputs<'a>) -> Result<[Source<'a>; 3]> {
    // What the case was made in; the tensors have types of their own.
    json.word("dtype", &DTYPES)?;
    if !json.has("gen") {
        return Ok([inputs.floats("q")?, inputs.floats("k")?, inputs.floats("v")?]);
    }
    let mut recipes = json.object("gen")?;
    let mut next = |name| Source::generated(recipes.object(name)?);
    let sources = [next("q")?, next("k")?, next("v")?];
    recipes.finish()?;
    Ok(sources)
}

fn shape(form: Form, (q_heads, kv_heads): (u32, u32), [q, k, v]: [&Source<'_>; 3]) -> Result<Shape> {
    let [batch, _, q_len, head_dim] = form.sizes("q", &q.shape, q_heads)?;
    let [k_batch, _, kv_len, k_dim] = form.sizes("k", &k.shape, kv_heads)?;
    let [v_batch, _, v_len, value_dim] = form.sizes("v", &v.shape, kv_heads)?;
    if (k_batch, k_dim) != (batch, head_dim) || (v_batch, v_len) != (batch, kv_len) {
        return Err(format!("q {:?}, k {:?} and v {:?} do not fit each other", q.shape, k.shape, v.shape).into());
    }
    Ok(Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim })
}

/// What makes a score of a query and a key, the mask's band aside.
fn scoring<'a>(mut draft: Draft<'a>, json: &mut Fields, inputs: &mut Inputs<'a>, items: u32) -> Result<Draft<'a>> {
    let shape = *draft.spec.shape();
    let heads = shape.q_heads;
    let (scale, cap) = (json.number("scale")? as f32, json.number("softcap")? as f32);
    draft = draft.map(|spec| spec.scale(scale));
    if cap != 0.0 {
        draft = draft.map(|spec| spec.softcap(cap));
    }
    if json.flag("alibi")? {
        let slopes = inputs.shaped("alibi_slopes", Dtype::F32, &[&[heads], &[items, heads]])?;
        let slopes = slopes.ok_or("alibi needs alibi_slopes")?;
        let per = if slopes.shape().len() == 1 { Slopes::Head } else { Slopes::BatchHead };
        draft = draft.with(Tensor::Slopes, Given::Floats(Source::stored(slopes)?), |spec| spec.alibi(per));
    }
    if let Some(sinks) = inputs.shaped("sinks", Dtype::F32, &[&[heads]])? {
        draft = draft.with(Tensor::Sinks, Given::Floats(Source::stored(sinks)?), Spec::sinks);
    }
    if let Some(bias) = inputs.take("bias")? {
        let (layout, columns) = broadcast("bias", bias.shape(), &shape)?;
        let bias = Source::stored(bias)?;
        let dtype = bias.dtype;
        let biased = |spec: Spec| spec.bias(layout, columns).bias_type(dtype);
        draft = draft.with(Tensor::Bias, Given::Floats(bias), biased);
    }
    if let Some(mask) = inputs.take("mask")? {
        let (layout, columns) = broadcast("mask", mask.shape(), &shape)?;
        if mask.dtype() != Dtype::BOOL {
            return Err(format!("mask is stored as {}, not as BOOL", mask.dtype()).into());
        }
        draft = draft.with(Tensor::Keep, Given::Bools(mask), |spec| spec.keep(layout, columns));
    }
    Ok(draft)
}

/// A shape aligned at the right to `[batch, q_heads, q_len, kv_len]`: sizes of 1 stand for all, the last may be shorter.
fn broadcast(name: &str, shape: &[usize], s: &Shape) -> Result<(Layout, u32)> {
    let refusal = || format!("{name} {shape:?} does not broadcast to the scores of {s:?}");
    let sizes = shape.iter().map(|&size| u32::try_from(size)).collect::<std::result::Result<Vec<_>, _>>();
    let sizes = sizes.map_err(|_| refusal())?;
    let layout = Layout::broadcast(&sizes).ok_or_else(refusal)?;
    let mut from_right = sizes.iter().rev();
    let columns = from_right.next().copied().unwrap_or(0);
    let fits = from_right.zip([s.q_len, s.q_heads, s.batch]).all(|(&got, all)| got == 1 || got == all);
    if !fits || columns == 0 || columns > s.kv_len {
        return Err(refusal().into());
    }
    Ok((layout, columns))
}

/// A case's name of an output, the tensor that it is, and its shape as it is written.
type Wanted = (&'static str, Tensor, Vec<usize>);

/// Asks for the outputs that the case names.
fn wanted(
    mut spec: Spec,
    json: &mut Fields,
    form: Form,
    names: &[String],
    sampled: bool,
) -> Result<(Spec, Vec<Wanted>)> {
    const STAGES: [Option<ScoreStage>; 4] =
        [Some(ScoreStage::Scaled), Some(ScoreStage::Capped), Some(ScoreStage::Masked), None];
    let s = *spec.shape();
    let mut outputs = vec![("out", Tensor::Out, form.shape([s.batch, s.q_heads, s.q_len, s.value_dim]))];
    let present = |dim| Form::Bhsd.shape([s.batch, s.kv_heads, s.kv_len, dim]);
    let pairs = Form::Bhsd.shape([s.batch, s.q_heads, s.q_len, s.kv_len]);
    for name in names {
        match name.as_str() {
            "out" => {}
            "out_mean" | "out_absmean" if sampled => {}
            "lse" => {
                spec = spec.lse();
                let packed = usize::from(form == Form::Packed);
                outputs.push(("lse", Tensor::Lse, pairs[packed..3].to_vec()));
            }
            "weights" => {
                spec = spec.weights();
                outputs.push(("weights", Tensor::Weights, pairs.clone()));
            }
            "present_k" => outputs.push(("present_k", Tensor::K, present(s.head_dim))),
            "present_v" => outputs.push(("present_v", Tensor::V, present(s.value_dim))),
            "qk" => {
                let stage = json.take("qk_mode", "0, 1, 2 or 3", |value| STAGES.get(json::size(value)?).copied())?;
                let tensor = if stage.is_some() { Tensor::Scores } else { Tensor::Weights };
                spec = stage.map_or_else(|| spec.clone().weights(), |stage| spec.clone().scores(stage));
                outputs.push(("qk", tensor, pairs.clone()));
            }
            _ => return Err(format!("output {name} is unknown").into()),
        }
    }
    Ok((spec, outputs))
}
