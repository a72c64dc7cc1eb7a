//! Where the queries of each item stand among its keys, and which they see from there.

use wgpu_attention::{Align, Error, Mask, Shape, Spec, Tensor};

use super::{
    Result,
    attention::Draft,
    given::Given,
    inputs::{Form, Inputs},
    json::Fields,
};

/// How long items are.
pub(super) enum Lengths {
    /// As the shape says.
    Same,
    /// The keys of each batch item end here.
    Read(Vec<u32>),
    /// Packed sequences start here, among the queries and among the keys.
    Packed([Vec<u32>; 2]),
}

impl Lengths {
    pub(super) fn take(form: Form, inputs: &mut Inputs<'_>, s: &Shape) -> Result<Self> {
        let lens = inputs.counts("kv_seqlens", &[s.batch], u32::MAX)?;
        if form != Form::Packed {
            return Ok(lens.map_or(Self::Same, Self::Read));
        }
        if lens.is_some() {
            return Err("layout thd has cu_seqlens_k, and no kv_seqlens".into());
        }
        let [q, k] = [starts(inputs, "cu_seqlens_q", s.q_len)?, starts(inputs, "cu_seqlens_k", s.kv_len)?];
        match q.len() == k.len() {
            true => Ok(Self::Packed([q, k])),
            false => Err("cu_seqlens_q and cu_seqlens_k are not of one length".into()),
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }

    /// Batch items or sequences.
    pub(super) fn items(&self, s: &Shape) -> u32 {
        match self {
            Self::Same | Self::Read(_) => s.batch,
            Self::Packed([q, _]) => (q.len() - 1) as u32,
        }
    }

    /// The offset of each item at which its last query stands at its last key, where the device finds it out.
    fn ends(&self, s: &Shape) -> Option<Vec<i64>> {
        let end = |keys: u32, queries: u32| i64::from(keys) - i64::from(queries);
        match self {
            Self::Same => None,
            Self::Read(lens) => Some(lens.iter().map(|&len| end(len.min(s.kv_len), s.q_len)).collect()),
            Self::Packed([q, k]) => {
                let lens = |starts: &[u32]| starts.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
                Some(lens(k).into_iter().zip(lens(q)).map(|(k, q)| end(k, q)).collect())
            }
        }
    }
}

/// Where sequences start, and the last ends: counts that grow from 0 to `len`.
fn starts(inputs: &mut Inputs<'_>, name: &str, len: u32) -> Result<Vec<u32>> {
    let view = inputs.need(name)?;
    if view.shape().len() != 1 {
        return Err(format!("{name} is {:?}, not [sequences + 1]", view.shape()).into());
    }
    let starts = super::file::counts(name, &view, u32::MAX)?;
    let grows = starts.windows(2).all(|pair| pair[0] <= pair[1]);
    match starts[..] {
        [0, .., last] if grows && last == len => Ok(starts),
        _ => Err(format!("{name} does not grow from 0 to {len}").into()),
    }
}

pub(super) fn stand<'a>(draft: Draft<'a>, json: &mut Fields, lengths: Lengths) -> Result<Draft<'a>> {
    let s = *draft.spec.shape();
    let offsets = json.list("diag_offset", "a list of 32-bit integers", |value| i32::try_from(value.as_i64()?).ok())?;
    let items = lengths.items(&s);
    if offsets.len() != items as usize {
        return Err(format!("diag_offset has {} entries for {items} batch items", offsets.len()).into());
    }
    let mask = mask(json)?;
    let stands = mask != Mask::FULL || draft.given.iter().any(|(tensor, _)| *tensor == Tensor::Slopes);
    let align = align(&offsets, lengths.ends(&s));
    let mut draft = draft;
    draft.spec = draft.spec.mask(mask);
    draft.spec = match align {
        Ok(align) => draft.spec.align(align),
        Err(refusal) if stands => return Err(refusal.into()),
        Err(_) => draft.spec, // nothing asks where
    };
    Ok(match lengths {
        Lengths::Same => draft,
        Lengths::Read(lens) => draft.with(Tensor::KvLens, Given::Counts(lens), Spec::kv_lens),
        Lengths::Packed([q, k]) => {
            let draft = draft.with(Tensor::CuQ, Given::Counts(q), |spec| spec.packed(items));
            draft.with(Tensor::CuK, Given::Counts(k), |spec| spec)
        }
    })
}

/// `ends` are the offsets that put the last query of each item at its last key.
fn align(offsets: &[i32], ends: Option<Vec<i64>>) -> std::result::Result<Align, Error> {
    let same = offsets.windows(2).all(|pair| pair[0] == pair[1]);
    match (offsets.first(), ends) {
        (Some(&all), _) if same => Ok(Align::At(all)),
        (_, Some(ends)) if offsets.iter().map(|&offset| i64::from(offset)).eq(ends.iter().copied()) => Ok(Align::End),
        _ => Err(Error::NotBuilt { feature: "a diag_offset that differs between batch items" }),
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
