//! The uniform that every kernel reads. Mirrors `Params` in shaders/params.wgsl; tests/shaders.rs compares the two.

use crate::{layout::Layout, mask::Band, spec::Spec, tensor::Tensor};

/// Declares a struct shared with WGSL and remembers what its fields are and where they lie.
macro_rules! shared_with_wgsl {
    ($(#[$meta:meta])* struct $Name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $Name { $($(#[$doc])* pub $field: $ty,)* }

        impl $Name {
            /// `(name, type, offset)` of each field, in order.
            pub const FIELDS: &'static [(&'static str, &'static str, usize)] =
                &[$((stringify!($field), stringify!($ty), std::mem::offset_of!($Name, $field)),)*];
        }
    };
}

shared_with_wgsl! {
    /// One dispatch: where the tensors lie, which work items it covers, and the values of the formula.
    struct Params {
        /// Offset and strides of q: elements before the first, per batch item, per head, per row.
        q_at: [u32; 4],
        /// The same of k.
        k_at: [u32; 4],
        /// The same of v.
        v_at: [u32; 4],
        /// The same of out.
        out_at: [u32; 4],
        /// The same of lse.
        lse_at: [u32; 4],
        /// The same of weights, or of the scores that stand in their place.
        weights_at: [u32; 4],
        /// Heads of q.
        q_heads: u32,
        /// Query heads that share a key head.
        group: u32,
        /// Query rows.
        q_len: u32,
        /// Keys.
        kv_len: u32,
        /// Work items of one head.
        blocks: u32,
        /// First work item of this dispatch.
        first: u32,
        /// One past its last.
        end: u32,
        /// Workgroups along x.
        grid_x: u32,
        /// Smallest visible `j - i`.
        band_lo: i32,
        /// Largest visible `j - i`.
        band_hi: i32,
        /// Factor on the dot products.
        scale: f32,
        /// Nothing: uniforms are multiples of 16 bytes.
        pad: u32,
    }
}

impl Params {
    /// The parameters of a spec that [`Spec::check`] accepted, over no work items yet.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let shape = spec.shape();
        let at = |tensor| spec.view(tensor).map_or([0; 4], |view| strides(&view.layout));
        let Band { lo, hi } = spec.band();
        Self {
            q_at: at(Tensor::Q),
            k_at: at(Tensor::K),
            v_at: at(Tensor::V),
            out_at: at(Tensor::Out),
            lse_at: at(Tensor::Lse),
            weights_at: [0; 4],
            q_heads: shape.q_heads,
            group: shape.q_heads / shape.kv_heads,
            q_len: shape.q_len,
            kv_len: shape.kv_len,
            blocks: 0,
            first: 0,
            end: 0,
            grid_x: 0,
            band_lo: lo,
            band_hi: hi,
            scale: spec.scale_or_default(),
            pad: 0,
        }
    }
}

/// Offset and strides as shaders read them. A stride that no index of more than 0 uses may be anything, so it may wrap.
#[must_use]
pub fn strides(layout: &Layout) -> [u32; 4] {
    [layout.offset, layout.batch, layout.head, layout.row].map(|n| n as u32)
}
