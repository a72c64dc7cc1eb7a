//! Where the elements of a tensor lie in its binding.

/// Offset and strides of a tensor `[batch, heads, rows, dim]`, in elements. The last dimension is contiguous.
///
/// Any strides will do, 0 included for inputs (broadcast); no tensor is ever copied to change its layout. A tensor that
/// is written must not have two elements at one address.
///
/// The element at `[b, h, i, d]` lies at `offset + b * batch + h * head + i * row + d`, counted from the binding's start.
///
/// ```
/// use wgpu_attention::{Layout, Shape, Spec};
/// // One projection wrote q, k and v as [batch, len, 3, heads, dim]. No copy is needed to tell them apart.
/// let (heads, len, dim) = (12, 16, 32);
/// let part = |index| Layout::packed(index, 3, heads, len, dim);
/// let shape =
///     Shape { batch: 4, q_heads: heads, kv_heads: heads, q_len: len, kv_len: len, head_dim: dim, value_dim: dim };
/// let spec = Spec::new(shape).q_layout(part(0)).k_layout(part(1)).v_layout(part(2));
/// assert_eq!(part(1), Layout { offset: 12 * 32, batch: 16 * 3 * 12 * 32, head: 32, row: 3 * 12 * 32 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Elements before the first one.
    pub offset: u64,
    /// Elements from one batch item to the next.
    pub batch: u64,
    /// Elements from one head to the next.
    pub head: u64,
    /// Elements from one row to the next.
    pub row: u64,
}

/// The two dense orders that most code uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// `[batch, heads, len, dim]`.
    #[default]
    Bhsd,
    /// `[batch, len, heads, dim]`, which is also `[batch, len, heads * dim]`.
    Bshd,
}

impl Order {
    /// The dense layout of a tensor of `heads` heads, `len` rows each and `dim` elements per row.
    ///
    /// A stride that overflows saturates; planning then refuses it.
    #[must_use]
    pub fn layout(self, heads: u32, len: u32, dim: u32) -> Layout {
        let (heads, len, dim) = (u64::from(heads), u64::from(len), u64::from(dim));
        let batch = heads.saturating_mul(len).saturating_mul(dim);
        match self {
            Self::Bhsd => Layout { offset: 0, batch, head: len.saturating_mul(dim), row: dim },
            Self::Bshd => Layout { offset: 0, batch, head: dim, row: heads.saturating_mul(dim) },
        }
    }
}

impl Layout {
    /// Part `index` of `[batch, len, parts, heads, dim]`: what one projection to q, k and v writes.
    ///
    /// A stride that overflows saturates; planning then refuses it.
    #[must_use]
    pub fn packed(index: u32, parts: u32, heads: u32, len: u32, dim: u32) -> Self {
        let part = u64::from(heads).saturating_mul(dim.into());
        let token = part.saturating_mul(parts.into());
        let batch = token.saturating_mul(len.into());
        Self { offset: part.saturating_mul(index.into()), batch, head: dim.into(), row: token }
    }

    /// A dense tensor of one to four sizes, aligned at the right to `[batch, heads, rows, columns]`, as array libraries
    /// broadcast: sizes of 1 and missing ones have stride 0. The last size never broadcasts.
    ///
    /// ```
    /// use wgpu_attention::Layout;
    /// assert_eq!(Layout::broadcast(&[4, 1, 1, 9]), Some(Layout { offset: 0, batch: 9, head: 0, row: 0 }));
    /// assert_eq!(Layout::broadcast(&[7, 9]), Some(Layout { offset: 0, batch: 0, head: 0, row: 9 }));
    /// assert_eq!(Layout::broadcast(&[]), None);
    /// ```
    #[must_use]
    pub fn broadcast(sizes: &[u32]) -> Option<Self> {
        let missing = 4usize.checked_sub(sizes.len()).filter(|&missing| missing < 4)?;
        let mut all = [1; 4];
        all[missing..].copy_from_slice(sizes);
        let dense = Order::Bhsd.layout(all[1], all[2], all[3]);
        let stride = |size: u32, stride: u64| if size == 1 { 0 } else { stride };
        let (batch, head, row) = (stride(all[0], dense.batch), stride(all[1], dense.head), stride(all[2], dense.row));
        Some(Self { offset: 0, batch, head, row })
    }

    /// One past the last element that a tensor of these sizes reaches; `None` where 64 bits overflow.
    #[must_use]
    pub fn extent(&self, [batch, heads, rows, dim]: [u32; 4]) -> Option<u64> {
        let last = |size: u32, stride: u64| u64::from(size.saturating_sub(1)).checked_mul(stride);
        self.offset
            .checked_add(last(batch, self.batch)?)?
            .checked_add(last(heads, self.head)?)?
            .checked_add(last(rows, self.row)?)?
            .checked_add(u64::from(dim))
    }

    /// Whether every element of a tensor of these sizes has an address of its own.
    ///
    /// Each stride must step over all that smaller strides reach, which every slice of a dense tensor does.
    #[must_use]
    pub fn is_injective(&self, [batch, heads, rows, dim]: [u32; 4]) -> bool {
        let mut steps = [(self.batch, batch), (self.head, heads), (self.row, rows)];
        steps.sort_unstable();
        let mut reach = u128::from(dim);
        steps.iter().filter(|&&(_, size)| size > 1).all(|&(stride, size)| {
            let clear = u128::from(stride) >= reach;
            reach += u128::from(stride) * u128::from(size - 1);
            clear
        })
    }

    /// Whether every row of a tensor of these sizes starts at a multiple of four elements, and ends at one.
    #[must_use]
    pub fn is_vec4(&self, [batch, heads, rows, dim]: [u32; 4]) -> bool {
        let step = |size: u32, stride: u64| if size > 1 { stride } else { 0 };
        let strides = [step(batch, self.batch), step(heads, self.head), step(rows, self.row)];
        dim.is_multiple_of(4) && self.offset.is_multiple_of(4) && strides.iter().all(|n| n.is_multiple_of(4))
    }
}
