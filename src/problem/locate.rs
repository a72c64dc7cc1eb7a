//! Keys that know where a query looked before.

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

/// Adds to each key what a convolution of the previous weights finds at its place: the keys of location-aware attention
/// (Chorowski et al. 2015, equations 8 and 9).
///
/// ```text
/// f[b, j, c]  = sum over t of filters[c, t] * previous[b, j + t - (width - 1) / 2]       0 past both ends
/// out[b, j, d] = k[b, j, d] + sum over c of filter_weights[d, c] * f[b, j, c]
/// ```
///
/// It binds `k [batch, heads, kv_len, dim]`, `previous [batch, heads or 1, kv_len]` f32, `filters [channels, width]` f32 and
/// `filter_weights [dim, channels]` f32, and writes out of the shape of k. Filters are not turned around, as in deep learning
/// libraries.
///
/// The paper's score `w . tanh(W s + V h + U f + b)` is then [`Spec::additive`](crate::Spec::additive) of queries `W s` and the keys
/// that this writes of `V h + b`. One step of a decoder is this, attention with [`Spec::weights`](crate::Spec::weights) of one query,
/// and those weights, which are zeros past a length, as `previous` of the next step, in the same buffer.
///
/// ```
/// use wgpu_attention::{Locate, Problem};
/// assert_eq!(Problem::from(Locate::new([1, 1, 500, 512], 10, 201)).check(), Ok(())); // 10 filters, 201 wide
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Locate {
    sizes: [u32; 4],
    pub(crate) channels: u32,
    pub(crate) width: u32,
    one: bool,
    order: Order,
    k: Storage,
    out: Storage,
    pub(crate) shared_buffer: bool,
}

impl Locate {
    /// `channels` filters, each `width` keys wide, over keys `[batch, heads, kv_len, dim]`, dense and f32.
    pub fn new(sizes: [u32; 4], channels: u32, width: u32) -> Self {
        let (order, [k, out]) = (Order::Bhsd, [Storage::default(); 2]);
        Self { sizes, channels, width, one: false, order, k, out, shared_buffer: false }
    }

    /// All heads look at the same previous weights `[batch, 1, kv_len]`.
    pub fn one_alignment(mut self) -> Self {
        self.one = true;
        self
    }

    /// Dense order of k and out; layouts set by name win over it.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    setters! {
        /// Layout of k.
        k_layout(Layout) sets k.layout,
        /// Layout of out.
        out_layout(Layout) sets out.layout,
        /// Element type of k.
        k_type(DType) sets k.dtype,
        /// Element type of out.
        out_type(DType) sets out.dtype,
    }

    /// `[batch, heads, kv_len, dim]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 4] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [batch, heads, kv_len, dim] = self.sizes;
        check_size("batch", batch, u32::MAX)?;
        check_size("heads", heads, u32::MAX)?;
        check_size("kv_len", kv_len, MAX_LEN)?;
        check_size("dim", dim, MAX_DIM)?;
        check_size("channels", self.channels, MAX_DIM)?;
        check_size("width", self.width, MAX_LEN)?;
        check_float("k_type", self.k.dtype)?;
        check_float("out_type", self.out.dtype)
    }

    pub(crate) fn k_view(&self) -> View {
        self.k.view_in(self.order, Tensor::K, self.sizes)
    }

    pub(crate) fn out_view(&self) -> View {
        self.out.view_in(self.order, Tensor::Out, self.sizes).written()
    }

    pub(crate) fn previous_view(&self) -> View {
        let [batch, heads, kv_len, _] = self.sizes;
        let heads = if self.one { 1 } else { heads };
        View::dense(Tensor::Previous, [batch, heads, 1, kv_len], DType::F32)
    }

    pub(crate) fn filters_view(&self) -> View {
        View::dense(Tensor::Filters, [1, 1, self.channels, self.width], DType::F32)
    }

    pub(crate) fn filter_weights_view(&self) -> View {
        let [.., dim] = self.sizes;
        View::dense(Tensor::FilterWeights, [1, 1, dim, self.channels], DType::F32)
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        match tensor {
            Tensor::K => Some(self.k_view()),
            Tensor::Out => Some(self.out_view()),
            Tensor::Previous => Some(self.previous_view()),
            Tensor::Filters => Some(self.filters_view()),
            Tensor::FilterWeights => Some(self.filter_weights_view()),
            _ => None,
        }
    }
}
