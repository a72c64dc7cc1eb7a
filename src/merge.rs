//! Partial results over disjoint keys into the whole.

use crate::{
    dtype::DType,
    error::Error,
    layout::{Layout, Order},
    mask::MAX_LEN,
    rope::{check_float, check_size},
    shape::MAX_DIM,
    tensor::Tensor,
    view::View,
};

/// Merges attention over disjoint sets of keys: `parts` results, each an output and its log-sum-exp, into what one attention
/// over all of those keys gives.
///
/// ```text
/// lse = log(sum of exp(lse[p]))        out = sum of exp(lse[p] - lse) * out[p]
/// ```
///
/// It binds `parts [parts, batch, heads, len, value_dim]` f32 and `part_lses [parts, batch, heads, len]` f32 and writes out and,
/// where asked for, lse. A part in which a row sees no key (lse -inf) leaves the row as the other parts have it; a row that no
/// part sees is 0, its lse -inf. The parts must be computed without [`Spec::sinks`](crate::Spec::sinks), which belong here.
///
/// A part's lse of magnitude `L` carries a rounding of `L * 2^-24`, and so do the weights of the parts.
///
/// ```
/// use wgpu_attention::{Merge, Problem};
/// assert_eq!(Problem::from(Merge::new(3, [1, 8, 512, 64]).lse()).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Merge {
    pub(crate) parts: u32,
    sizes: [u32; 4],
    order: Order,
    layout: Option<Layout>,
    dtype: DType,
    lse: bool,
    sinks: bool,
    pub(crate) shared_buffer: bool,
}

impl Merge {
    /// So many parts of `[batch, heads, len, value_dim]`, dense `[batch, heads, len, value_dim]` and f32.
    pub fn new(parts: u32, sizes: [u32; 4]) -> Self {
        let (order, dtype) = (Order::Bhsd, DType::F32);
        Self { parts, sizes, order, layout: None, dtype, lse: false, sinks: false, shared_buffer: false }
    }

    /// Dense order of out, and of each part.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Layout of out alone.
    pub fn out_layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Element type of out.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// Also writes the log-sum-exp of the whole `[batch, heads, len]`.
    pub fn lse(mut self) -> Self {
        self.lse = true;
        self
    }

    /// One learned logit per head `[heads]`, in the softmax denominator alone.
    pub fn sinks(mut self) -> Self {
        self.sinks = true;
        self
    }

    /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
    }

    /// `[batch, heads, len, value_dim]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 4] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [batch, heads, len, value_dim] = self.sizes;
        check_size("parts", self.parts, u32::MAX)?;
        check_size("batch", batch, u32::MAX)?;
        check_size("heads", heads, u32::MAX)?;
        check_size("len", len, MAX_LEN)?;
        check_size("value_dim", value_dim, MAX_DIM)?;
        if u64::from(self.parts) * u64::from(batch) > u64::from(u32::MAX) {
            return Err(Error::Overflow { name: "parts" });
        }
        check_float("out_type", self.dtype)
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [batch, heads, len, dim] = self.sizes;
        let order = self.order.layout(heads, len, dim);
        let layout = self.layout.unwrap_or(order);
        let stacked = self.parts.saturating_mul(batch);
        let rows = View::dense(tensor, [batch, heads, len, 1], DType::F32);
        match tensor {
            Tensor::Parts => {
                let sizes = [stacked, heads, len, dim];
                Some(View { layout: order, ..View::dense(tensor, sizes, DType::F32) })
            }
            Tensor::PartLses => Some(View::dense(tensor, [stacked, heads, len, 1], DType::F32)),
            Tensor::Out => Some(View { tensor, sizes: self.sizes, layout, dtype: self.dtype, written: true }),
            Tensor::Lse => self.lse.then_some(View { written: true, ..rows }),
            Tensor::Sinks => self.sinks.then(|| View::dense(tensor, [1, 1, 1, heads], DType::F32)),
            _ => None,
        }
    }
}
