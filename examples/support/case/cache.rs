//! Keys and values of an earlier call, to which new ones are appended.

use wgpu_attention::{Order, Shape, Spec, Tensor};

use super::{
    Result,
    attention::Draft,
    given::{Cache, Given, Rows, Source, common},
    inputs::{Form, Inputs, is},
};

/// A cache as a case gives it: `[batch, kv_heads, len, dim]`, whatever the layout.
pub(super) struct Past<'a> {
    pub(super) len: u32,
    /// Keys and values; `None` where `len` is 0, and only what is appended to nothing is wanted.
    rows: Option<[Source<'a>; 2]>,
}

impl<'a> Past<'a> {
    /// The cache of a case; an empty one where there is none and its outputs are `wanted`. The shape is that of what is new.
    pub(super) fn take(inputs: &mut Inputs<'a>, s: &Shape, wanted: bool) -> Result<Option<Self>> {
        let Some(k) = inputs.take("past_k")? else { return Ok(wanted.then_some(Self { len: 0, rows: None })) };
        let k = Source::stored(k)?;
        let v = Source::stored(inputs.take("past_v")?.ok_or("past_k needs past_v")?)?;
        let len = k.shape.get(2).and_then(|&len| u32::try_from(len).ok()).unwrap_or(0);
        for (name, new, past, dim) in [("past_k", "k", &k, s.head_dim), ("past_v", "v", &v, s.value_dim)] {
            let sizes = [s.batch, s.kv_heads, len, dim];
            if !is(&past.shape, &sizes) {
                return Err(format!("{name} {:?} does not fit {new}: not {sizes:?}", past.shape).into());
            }
        }
        Ok(Some(Self { len, rows: Some([k, v]) }))
    }
}

/// The cache in k and v, and what is new behind it: appended by the device, or here where the device could not tell how many
/// keys there are before and how many are seen, or where nothing is new.
pub(super) fn fill<'a>(
    draft: Draft<'a>,
    past: Past<'a>,
    new: [Source<'a>; 2],
    form: Form,
    lens_are_read: bool,
) -> Result<Draft<'a>> {
    let s = *draft.spec.shape();
    let [k, v] = new;
    let len = s.kv_len - past.len;
    let new_type = common([&k, &v]);
    let all_types = common(past.rows.iter().flatten().chain([&k, &v]));
    let rows = |source, order, len| Rows { source, order, len };
    let mut caches =
        [s.head_dim, s.value_dim].map(|dim| Cache { sizes: [s.batch, s.kv_heads, s.kv_len, dim], rows: Vec::new() });
    for (cache, source) in caches.iter_mut().zip(past.rows.into_iter().flatten()) {
        cache.rows.push(rows(source, Order::Bhsd, past.len));
    }
    let mut draft = draft;
    if lens_are_read || len == 0 {
        for (cache, source) in caches.iter_mut().zip([k, v]) {
            cache.rows.push(rows(source, form.order(), len));
        }
    } else {
        let lens = Given::Counts(vec![past.len; s.batch as usize]);
        draft = draft.with(Tensor::KvLens, lens, |spec| spec.append(len).new_type(new_type));
        draft.given.extend([(Tensor::NewK, Given::Floats(k)), (Tensor::NewV, Given::Floats(v))]);
    }
    let layout = |spec: Spec| match form {
        Form::Bhsd => spec,
        _ => {
            let dense = |dim| Order::Bhsd.layout(s.kv_heads, s.kv_len, dim);
            spec.k_layout(dense(s.head_dim)).v_layout(dense(s.value_dim))
        }
    };
    let [keys, values] = caches.map(Given::Cache);
    let draft = draft.with(Tensor::K, keys, |spec| layout(spec).kv_type(all_types));
    Ok(draft.with(Tensor::V, values, |spec| spec))
}
