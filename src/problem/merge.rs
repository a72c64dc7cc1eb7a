//! Partial results over disjoint keys into the whole.

use crate::{
    error::Error,
    problem::{
        limits::{MAX_DIM, MAX_LEN, check_float, check_size},
        setters::{Storage, setters},
    },
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
        view::View,
    },
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
    out: Storage,
    lse: bool,
    sinks: bool,
    pub(crate) shared_buffer: bool,
}

impl Merge {
    /// The given number of parts of `[batch, heads, len, value_dim]`, dense `[batch, heads, len, value_dim]` and f32.
    pub fn new(parts: u32, sizes: [u32; 4]) -> Self {
        let (order, out) = (Order::Bhsd, Storage::default());
        Self { parts, sizes, order, out, lse: false, sinks: false, shared_buffer: false }
    }

    /// Dense order of out, and of each part.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
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

    setters! {
        /// Layout of out alone.
        out_layout(Layout) sets out.layout,
        /// Element type of out.
        out_type(DType) sets out.dtype,
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
        check_float("out_type", self.out.dtype)
    }

    pub(crate) fn parts_view(&self) -> View {
        let [_, heads, len, dim] = self.sizes;
        Storage::default().view_in(self.order, Tensor::Parts, [self.stacked(), heads, len, dim])
    }

    pub(crate) fn part_lses_view(&self) -> View {
        let [_, heads, len, _] = self.sizes;
        View::dense(Tensor::PartLses, [self.stacked(), heads, len, 1], DType::F32)
    }

    pub(crate) fn out_view(&self) -> View {
        self.out.view_in(self.order, Tensor::Out, self.sizes).written()
    }

    /// Batch items of all parts, one part after the other.
    const fn stacked(&self) -> u32 {
        self.parts.saturating_mul(self.sizes[0])
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [batch, heads, len, _] = self.sizes;
        let dense = |sizes| View::dense(tensor, sizes, DType::F32);
        match tensor {
            Tensor::Parts => Some(self.parts_view()),
            Tensor::PartLses => Some(self.part_lses_view()),
            Tensor::Out => Some(self.out_view()),
            Tensor::Lse => self.lse.then(|| dense([batch, heads, len, 1]).written()),
            Tensor::Sinks => self.sinks.then(|| dense([1, 1, 1, heads])),
            _ => None,
        }
    }
}
