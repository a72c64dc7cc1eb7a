//! What a case gives for the tensors of its problem: read from the file, or computed from a seed, when it is run.

use safetensors::tensor::TensorView;
use wgpu_attention::{DType, Data, Layout, Order};

use super::{
    Result,
    file::{self, DTYPES},
    json::{self, Fields},
};

/// A tensor of floats.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    Stored(TensorView<'a>),
    Generated { seed: u64, factor: f32 },
}

impl<'a> Source<'a> {
    pub(super) fn stored(view: TensorView<'a>) -> Result<Self> {
        Ok(Self { shape: view.shape().to_vec(), dtype: file::dtype(&view)?, kind: Kind::Stored(view) })
    }

    pub(super) fn generated(mut fields: Fields) -> Result<Self> {
        fields.word("algo", &[("splitmix64_u24", ())])?;
        let source = Self {
            shape: fields.list("shape", "a list of sizes", json::size)?,
            dtype: fields.word("dtype", &DTYPES)?,
            kind: Kind::Generated { seed: fields.count("seed")?, factor: fields.number("mul")? as f32 },
        };
        fields.finish()?;
        Ok(source)
    }

    /// Its elements, row-major. The product of its sizes must have been checked.
    fn floats(&self) -> Result<Vec<f32>> {
        match &self.kind {
            Kind::Stored(view) => file::any_floats(view),
            Kind::Generated { seed, factor } => {
                let count: usize = self.shape.iter().product();
                Ok((1..=count as u64).map(|n| self.dtype.round(uniform(*seed, n) * factor)).collect())
            }
        }
    }
}

/// The one type of all these tensors, or f32, which holds each of them.
pub(super) fn common<'s>(sources: impl IntoIterator<Item = &'s Source<'s>>) -> DType {
    let mut types = sources.into_iter().map(|source| source.dtype);
    let first = types.next().unwrap_or_default();
    if types.all(|dtype| dtype == first) { first } else { DType::F32 }
}

/// Keys or values of `[batch, heads, len, dim]`.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) source: Source<'a>,
    pub(super) order: Order,
    pub(super) len: u32,
}

/// A cache `[batch, heads, len, dim]`, dense in this order: keys or values one after the other, then room for more.
#[derive(Debug)]
pub(super) struct Cache<'a> {
    pub(super) sizes: [u32; 4],
    pub(super) rows: Vec<Rows<'a>>,
}

impl Cache<'_> {
    fn floats(&self) -> Result<Vec<f32>> {
        let [batch, heads, len, dim] = self.sizes;
        let mut all = vec![0.0; self.sizes.iter().map(|&size| size as usize).product()];
        let to = Order::Bhsd.layout(heads, len, dim);
        let mut first = 0;
        for rows in &self.rows {
            let (from, floats) = (rows.order.layout(heads, rows.len, dim), rows.source.floats()?);
            for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
                for i in 0..rows.len {
                    let (to, from) = (start(&to, b, h, first + i), start(&from, b, h, i));
                    all[to..][..dim as usize].copy_from_slice(&floats[from..][..dim as usize]);
                }
            }
            first += rows.len;
        }
        Ok(all)
    }
}

/// The first element of a row.
fn start(layout: &Layout, batch: u32, head: u32, row: u32) -> usize {
    (u64::from(batch) * layout.batch + u64::from(head) * layout.head + u64::from(row) * layout.row) as usize
}

/// What fills a tensor.
#[derive(Debug)]
pub(super) enum Given<'a> {
    Floats(Source<'a>),
    Cache(Cache<'a>),
    Bools(TensorView<'a>),
    Counts(Vec<u32>),
}

impl Given<'_> {
    pub(super) fn read(&self) -> Result<Values> {
        Ok(match self {
            Self::Floats(source) => Values::Floats(source.floats()?),
            Self::Cache(cache) => Values::Floats(cache.floats()?),
            Self::Bools(view) => Values::Bools(file::bools(view)),
            Self::Counts(counts) => Values::Counts(counts.clone()),
        })
    }
}

/// The values of a tensor in memory.
pub(super) enum Values {
    Floats(Vec<f32>),
    Bools(Vec<bool>),
    Counts(Vec<u32>),
}

impl Values {
    pub(super) fn data(&self) -> Data<'_> {
        match self {
            Self::Floats(values) => Data::Floats(values),
            Self::Bools(values) => Data::Bools(values),
            Self::Counts(values) => Data::Words(values),
        }
    }
}

/// The `n`th number, from 1, of SplitMix64 (Steele, Lea and Flood 2014) as a multiple of 2^-23 in -1..1: exact in f32.
fn uniform(seed: u64, n: u64) -> f32 {
    let z = seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    (z >> 40) as f32 / 8_388_608.0 - 1.0
}

#[cfg(test)]
#[test]
fn numbers_are_those_of_splitmix64() {
    // The first two of seed 0 in the published generator, cut to their upper 24 bits.
    for (n, published) in [(1, 0xE220_A839_7B1D_CDAF_u64), (2, 0x6E78_9E6A_A1B9_65F4)] {
        assert_eq!(f64::from(uniform(0, n)), (published >> 40) as f64 * (-23f64).exp2() - 1.0);
    }
}
