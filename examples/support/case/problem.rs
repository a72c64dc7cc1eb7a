//! The attention problem that a case poses, as a [`Spec`].

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use wgpu_attention::{Align, DType, Error, Layout, Mask, Order, ScoreStage, Shape, Slopes, Spec};

use super::{
    Result,
    file::{self, DTYPES, Source},
    json::{self, Fields},
};

/// The input tensors that a case names; each is taken once, so that what is left was not understood.
pub(super) struct Inputs<'a> {
    pub(super) file: SafeTensors<'a>,
    pub(super) left: Vec<String>,
}

impl<'a> Inputs<'a> {
    fn take(&mut self, name: &str) -> Result<Option<TensorView<'a>>> {
        let Some(index) = self.left.iter().position(|left| left == name) else { return Ok(None) };
        self.left.remove(index);
        self.file.tensor(name).map(Some).map_err(|_| format!("input {name} is not in the file").into())
    }

    fn need(&mut self, name: &str) -> Result<TensorView<'a>> {
        self.take(name)?.ok_or_else(|| format!("input {name} is not listed").into())
    }

    /// A tensor of one of these shapes and this type.
    fn shaped(&mut self, name: &str, dtype: Dtype, shapes: &[&[u32]]) -> Result<Option<TensorView<'a>>> {
        let Some(view) = self.take(name)? else { return Ok(None) };
        let fits = |shape: &[u32]| shape.iter().map(|&size| size as usize).eq(view.shape().iter().copied());
        match view.dtype() == dtype && shapes.iter().any(|shape| fits(shape)) {
            true => Ok(Some(view)),
            false => Err(format!("{name} is {} {:?}, not {dtype} {shapes:?}", view.dtype(), view.shape()).into()),
        }
    }
}

/// How the dimensions of q, k, v and out follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// `[batch, heads, len, dim]`.
    Bhsd,
    /// `[batch, len, heads, dim]`.
    Bshd,
    /// `[batch, len, heads * dim]`.
    Flat,
    /// `[len of all sequences, heads, dim]`.
    Packed,
}

const FORMS: [(&str, Form); 4] =
    [("bhsd", Form::Bhsd), ("bshd", Form::Bshd), ("3d", Form::Flat), ("thd", Form::Packed)];

impl Form {
    /// `[batch, heads, len, dim]` of a tensor.
    fn sizes(self, name: &str, shape: &[usize], heads: u32) -> Result<[u32; 4]> {
        let wide = heads as usize;
        let sizes = match (self, shape) {
            (Self::Bhsd, &[batch, h, len, dim]) | (Self::Bshd, &[batch, len, h, dim]) if h == wide => [batch, len, dim],
            (Self::Packed, &[len, h, dim]) if h == wide => [1, len, dim],
            (Self::Flat, &[batch, len, row]) if wide > 0 && row % wide == 0 => [batch, len, row / wide],
            _ => return Err(format!("{name} {shape:?} is not of {heads} heads in layout {self:?}").into()),
        };
        match sizes.map(u32::try_from) {
            [Ok(batch), Ok(len), Ok(dim)] => Ok([batch, heads, len, dim]),
            _ => Err(format!("{name} {shape:?} is too large").into()),
        }
    }
}

/// An attention problem and its main inputs.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) spec: Spec,
    /// q, k and v.
    pub(super) sources: [Source<'a>; 3],
    /// The shape of out in the case's layout.
    pub(super) out_shape: Vec<usize>,
    /// Whether `qk` are the weights, and not scores.
    pub(super) qk_is_weights: bool,
}

impl<'a> Problem<'a> {
    /// What the crate does not do yet is left to [`Spec::check`] where the API has a word for it.
    pub(super) fn new(json: &mut Fields, inputs: &mut Inputs<'a>, outputs: &[String], sampled: bool) -> Result<Self> {
        let form = json.word("layout", &FORMS)?;
        let heads = (json.count("q_heads")?, json.count("kv_heads")?);
        let sources = sources(json, inputs)?;
        let mut shape = shape(form, heads, &sources)?;
        let past = past(inputs, &shape)?;
        shape.kv_len = shape.kv_len.saturating_add(past.unwrap_or(0));
        let mut spec = Spec::new(shape).q_type(sources[0].dtype).kv_type(sources[1].dtype);
        if form != Form::Bhsd {
            spec = spec.order(Order::Bshd);
        }
        if past.is_some() {
            spec = spec.append();
        }
        spec = scoring(spec, json, inputs)?;
        spec = standing(spec, form, json, inputs)?;
        let (spec, qk_is_weights) = wanted(spec, json, outputs, sampled)?;
        if inputs.take("dout")?.is_some() {
            return Err(Error::NotBuilt { feature: "backward pass" }.into());
        }
        if sampled && form != Form::Bhsd {
            return Err("sample_rows needs layout bhsd".into());
        }
        let mut out_shape = sources[0].shape.clone();
        if let Some(last) = out_shape.last_mut() {
            *last = shape.value_dim as usize * if form == Form::Flat { shape.q_heads as usize } else { 1 };
        }
        Ok(Self { spec, sources, out_shape, qk_is_weights })
    }
}

fn sources<'a>(json: &mut Fields, inputs: &mut Inputs<'a>) -> Result<[Source<'a>; 3]> {
    let sources = if json.has("gen") {
        let mut recipes = json.object("gen")?;
        let mut next = |name| Source::generated(recipes.object(name)?);
        let sources = [next("q")?, next("k")?, next("v")?];
        recipes.finish()?;
        sources
    } else {
        [Source::stored(inputs.need("q")?)?, Source::stored(inputs.need("k")?)?, Source::stored(inputs.need("v")?)?]
    };
    let dtype: DType = json.word("dtype", &DTYPES)?;
    match sources.iter().find(|source| source.dtype != dtype) {
        Some(source) => Err(format!("dtype is {dtype}, and one of q, k and v is stored as {}", source.dtype).into()),
        None => Ok(sources),
    }
}

fn shape(form: Form, (q_heads, kv_heads): (u32, u32), [q, k, v]: &[Source<'_>; 3]) -> Result<Shape> {
    let [batch, _, q_len, head_dim] = form.sizes("q", &q.shape, q_heads)?;
    let [k_batch, _, kv_len, k_dim] = form.sizes("k", &k.shape, kv_heads)?;
    let [v_batch, _, v_len, value_dim] = form.sizes("v", &v.shape, kv_heads)?;
    if (k_batch, k_dim) != (batch, head_dim) || (v_batch, v_len) != (batch, kv_len) {
        return Err(format!("q {:?}, k {:?} and v {:?} do not fit each other", q.shape, k.shape, v.shape).into());
    }
    Ok(Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim })
}

/// How many keys the cache holds, where there is one.
fn past(inputs: &mut Inputs<'_>, s: &Shape) -> Result<Option<u32>> {
    let Some(keys) = inputs.take("past_k")? else { return Ok(None) };
    let len = keys.shape().get(2).and_then(|&len| u32::try_from(len).ok()).unwrap_or(0);
    let wanted = [s.batch, s.kv_heads, len, s.head_dim].map(|size| size as usize);
    if keys.shape() != wanted {
        return Err(format!("past_k {:?} does not fit k", keys.shape()).into());
    }
    match inputs.shaped("past_v", keys.dtype(), &[&[s.batch, s.kv_heads, len, s.value_dim]])? {
        Some(_) => Ok(Some(len)),
        None => Err("past_k needs past_v".into()),
    }
}

/// What makes a score of a query and a key, the mask's band aside.
fn scoring(mut spec: Spec, json: &mut Fields, inputs: &mut Inputs<'_>) -> Result<Spec> {
    let Shape { batch, q_heads, .. } = *spec.shape();
    spec = spec.scale(json.number("scale")? as f32);
    let cap = json.number("softcap")?;
    if cap != 0.0 {
        spec = spec.softcap(cap as f32);
    }
    if json.flag("alibi")? {
        let slopes = inputs.shaped("alibi_slopes", Dtype::F32, &[&[q_heads], &[batch, q_heads]])?;
        let slopes = slopes.ok_or("alibi needs alibi_slopes")?;
        spec = spec.alibi(if slopes.shape().len() == 1 { Slopes::Head } else { Slopes::BatchHead });
    }
    if inputs.shaped("sinks", Dtype::F32, &[&[q_heads]])?.is_some() {
        spec = spec.sinks();
    }
    if let Some(bias) = inputs.take("bias")? {
        let (layout, columns) = broadcast("bias", bias.shape(), spec.shape())?;
        spec = spec.bias(layout, columns).bias_type(file::dtype(&bias)?);
    }
    if let Some(mask) = inputs.take("mask")? {
        let (layout, columns) = broadcast("mask", mask.shape(), spec.shape())?;
        if mask.dtype() != Dtype::BOOL {
            return Err(format!("mask is stored as {}, not as BOOL", mask.dtype()).into());
        }
        spec = spec.keep(layout, columns);
    }
    Ok(spec)
}

/// A shape aligned at the right to `[batch, q_heads, q_len, kv_len]`: sizes of 1 stand for all, the last may be shorter.
fn broadcast(name: &str, shape: &[usize], s: &Shape) -> Result<(Layout, u32)> {
    let refusal = || format!("{name} {shape:?} does not broadcast to the scores of {s:?}");
    let missing = 4usize.checked_sub(shape.len()).filter(|&missing| missing < 4).ok_or_else(refusal)?;
    let mut sizes = [1; 4];
    for (to, &from) in sizes[missing..].iter_mut().zip(shape) {
        *to = u32::try_from(from).map_err(|_| refusal())?;
    }
    let [batch, heads, rows, columns] = sizes;
    let fits = [(batch, s.batch), (heads, s.q_heads), (rows, s.q_len)].iter().all(|&(got, all)| got == 1 || got == all);
    if !fits || columns == 0 || columns > s.kv_len {
        return Err(refusal().into());
    }
    let stride = |size: u32, step: u64| if size == 1 { 0 } else { step };
    let row = u64::from(columns);
    let head = row * u64::from(rows);
    let layout = Layout {
        offset: 0,
        batch: stride(batch, head * u64::from(heads)),
        head: stride(heads, head),
        row: stride(rows, row),
    };
    Ok((layout, columns))
}

/// Where the queries of each item stand among its keys, and which they see from there.
fn standing(mut spec: Spec, form: Form, json: &mut Fields, inputs: &mut Inputs<'_>) -> Result<Spec> {
    let Shape { batch, q_len, .. } = *spec.shape();
    let mut items = batch as usize;
    let mut ends = None;
    if let Some(lens) = inputs.shaped("kv_seqlens", Dtype::I32, &[&[batch]])? {
        ends = Some(file::integers(&lens)?.iter().map(|len| len - i64::from(q_len)).collect());
        spec = spec.kv_lens();
    }
    if form == Form::Packed {
        let [q, k] = [lengths(&inputs.need("cu_seqlens_q")?)?, lengths(&inputs.need("cu_seqlens_k")?)?];
        if q.len() != k.len() {
            return Err("cu_seqlens_q and cu_seqlens_k are not of one length".into());
        }
        items = q.len();
        ends = Some(q.iter().zip(&k).map(|(q, k)| k - q).collect());
        spec = spec.packed(u32::try_from(items)?);
    }
    let diagonals =
        json.list("diag_offset", "a list of 32-bit integers", |value| i32::try_from(value.as_i64()?).ok())?;
    if diagonals.len() != items {
        return Err(format!("diag_offset has {} entries for {items} batch items", diagonals.len()).into());
    }
    Ok(spec.mask(mask(json)?).align(align(&diagonals, ends)?))
}

fn lengths(cumulative: &TensorView<'_>) -> Result<Vec<i64>> {
    Ok(file::integers(cumulative)?.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

/// `ends` are the offsets that put the last query of each item at its last key.
fn align(diagonals: &[i32], ends: Option<Vec<i64>>) -> Result<Align> {
    let same = diagonals.windows(2).all(|pair| pair[0] == pair[1]);
    match (diagonals.first(), ends) {
        (Some(&all), _) if same => Ok(Align::At(all)),
        (_, Some(ends)) if diagonals.iter().map(|&offset| i64::from(offset)).eq(ends.iter().copied()) => Ok(Align::End),
        _ => Err(Error::NotBuilt { feature: "a diag_offset that differs between batch items" }.into()),
    }
}

fn mask(json: &mut Fields) -> Result<Mask> {
    const CORNERS: [(&str, Option<bool>); 3] =
        [("none", None), ("top_left", Some(true)), ("bottom_right", Some(false))];
    let causal = json.word("causal", &CORNERS)?;
    let align = json.word("align", &CORNERS[1..])?;
    if causal.is_some() && causal != align {
        return Err("causal and align name different diagonals".into());
    }
    let mut side = |key| {
        json.take(key, "-1 or a 32-bit count", |value| match value.as_i64()? {
            -1 => Some(None),
            keys => u32::try_from(keys).ok().map(Some),
        })
    };
    let window = Mask::window(side("window_left")?, side("window_right")?);
    Ok(if causal.is_some() { window.and(Mask::causal()) } else { window })
}

/// Asks for the outputs that the case names.
fn wanted(mut spec: Spec, json: &mut Fields, outputs: &[String], sampled: bool) -> Result<(Spec, bool)> {
    const STAGES: [Option<ScoreStage>; 4] =
        [Some(ScoreStage::Scaled), Some(ScoreStage::Capped), Some(ScoreStage::Masked), None];
    let mut qk_is_weights = false;
    for name in outputs {
        spec = match name.as_str() {
            "out" => spec,
            "out_mean" | "out_absmean" if sampled => spec,
            "lse" => spec.lse(),
            "weights" => spec.weights(),
            "present_k" | "present_v" => spec.append(),
            "qk" => {
                let stage = json.take("qk_mode", "0, 1, 2 or 3", |value| STAGES.get(json::size(value)?).copied())?;
                qk_is_weights = stage.is_none();
                stage.map_or_else(|| spec.clone().weights(), |stage| spec.clone().scores(stage))
            }
            "dq" | "dk" | "dv" | "dbias" => return Err(Error::NotBuilt { feature: "backward pass" }.into()),
            _ => return Err(format!("output {name} is unknown").into()),
        };
    }
    Ok((spec, qk_is_weights))
}
