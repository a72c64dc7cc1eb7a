//! Keys that know where a query looked before.

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
    /// Of k and out.
    layouts: [Option<Layout>; 2],
    types: [DType; 2],
    pub(crate) shared_buffer: bool,
}

impl Locate {
    /// So many filters, each so many keys wide, over keys `[batch, heads, kv_len, dim]`, dense and f32.
    pub fn new(sizes: [u32; 4], channels: u32, width: u32) -> Self {
        let (order, types) = (Order::Bhsd, [DType::F32; 2]);
        Self { sizes, channels, width, one: false, order, layouts: [None; 2], types, shared_buffer: false }
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

    /// Layout of k.
    pub fn k_layout(mut self, layout: Layout) -> Self {
        self.layouts[0] = Some(layout);
        self
    }

    /// Layout of out.
    pub fn out_layout(mut self, layout: Layout) -> Self {
        self.layouts[1] = Some(layout);
        self
    }

    /// Element type of k.
    pub fn k_type(mut self, dtype: DType) -> Self {
        self.types[0] = dtype;
        self
    }

    /// Element type of out.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types[1] = dtype;
        self
    }

    /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
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
        check_float("k_type", self.types[0])?;
        check_float("out_type", self.types[1])
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [batch, heads, kv_len, dim] = self.sizes;
        let table = |rows, columns| Some(View::dense(tensor, [1, 1, rows, columns], DType::F32));
        let place = match tensor {
            Tensor::K => 0,
            Tensor::Out => 1,
            Tensor::Previous => {
                let heads = if self.one { 1 } else { heads };
                return Some(View::dense(tensor, [batch, heads, 1, kv_len], DType::F32));
            }
            Tensor::Filters => return table(self.channels, self.width),
            Tensor::FilterWeights => return table(dim, self.channels),
            _ => return None,
        };
        let layout = self.layouts[place].unwrap_or_else(|| self.order.layout(heads, kv_len, dim));
        Some(View { tensor, sizes: self.sizes, layout, dtype: self.types[place], written: tensor == Tensor::Out })
    }
}
