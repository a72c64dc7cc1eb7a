//! The uniform that every kernel reads. Mirrors `Params` in shaders/params.wgsl; tests/shaders.rs compares the two.

use crate::layout::Layout;

/// Declares a struct shared with WGSL and remembers what its fields are and where they lie.
macro_rules! shared_with_wgsl {
    ($(#[$meta:meta])* struct $Name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
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
    ///
    /// A place `[u32; 4]` is an offset and the strides of batch item, head and row, in elements. The offset counts from the start
    /// of what is bound, modulo 2^32: with the strides it gives the right element of the part of the tensor that is bound.
    struct Params {
        /// Place of q.
        q_at: [u32; 4],
        /// Place of k.
        k_at: [u32; 4],
        /// Place of v.
        v_at: [u32; 4],
        /// Place of out.
        out_at: [u32; 4],
        /// Place of lse.
        lse_at: [u32; 4],
        /// Place of weights, or of the scores that stand in their place.
        weights_at: [u32; 4],
        /// Place of the bias.
        bias_at: [u32; 4],
        /// Place of the keep-mask.
        keep_at: [u32; 4],
        /// Place of cosines and sines.
        angles_at: [u32; 4],
        /// Place of the row states in the workspace, in words.
        states_at: [u32; 4],
        /// Place of the tile classes in the workspace, in words.
        classes_at: [u32; 4],
        /// Place of the block mask's table; what all heads share has stride 0.
        block_mask_at: [u32; 4],
        /// First work item of this dispatch.
        first: u32,
        /// One past its last.
        end: u32,
        /// Workgroups along x.
        grid_x: u32,
        /// Work items of one head.
        blocks: u32,
        /// First batch item.
        batch0: u32,
        /// First query head.
        head0: u32,
        /// Query heads.
        heads: u32,
        /// Query heads that share a key head.
        group: u32,
        /// First query row.
        row0: u32,
        /// One past the last query row.
        row_end: u32,
        /// First key.
        key0: u32,
        /// One past the last key.
        key_end: u32,
        /// Query rows of the whole problem.
        q_len: u32,
        /// Keys of the whole problem: the capacity where lengths are read on the device.
        kv_len: u32,
        /// Packed sequences.
        sequences: u32,
        /// Keys appended before this.
        appended: u32,
        /// Smallest visible `j - i`, from where the device finds the query to stand.
        band_lo: i32,
        /// Largest visible `j - i`.
        band_hi: i32,
        /// Key at which query 0 stands, for ALiBi.
        stand: i32,
        /// Whether the last query stands at the last key, wherever the device finds that to be: 1 or 0.
        from_end: u32,
        /// Factor on the dot products.
        scale: f32,
        /// Soft limit of the scores.
        softcap: f32,
        /// Columns of the bias.
        bias_columns: u32,
        /// Columns of the keep-mask.
        keep_columns: u32,
        /// First word of the slopes in the workspace.
        slopes_at: u32,
        /// Words from one item's slopes to the next.
        slopes_item: u32,
        /// First word of the sinks in the workspace.
        sinks_at: u32,
        /// First word of the key lengths in the workspace.
        lens_at: u32,
        /// First word of the cumulative query lengths in the workspace.
        cu_q_at: u32,
        /// First word of the cumulative key lengths in the workspace.
        cu_k_at: u32,
        /// Which part of the keys this is.
        part: u32,
        /// Parts of the keys.
        parts: u32,
        /// From one part to the next: elements of partial outputs, rows of their states.
        part_step: u32,
        /// Work items that share the keys of one block of rows.
        splits: u32,
        /// Keys of each.
        split_keys: u32,
        /// Words from one part's row states to the next.
        state_step: u32,
        /// Rows of the cosines and sines.
        positions: u32,
        /// First word that an input takes when it is packed into the workspace.
        pack_at: u32,
        /// vec4 of a row of q. This and the next three are constants of the text too: where they end loops, a driver that unrolls
        /// those with constant ends would compile for seconds.
        head_vec4s: u32,
        /// vec4 of a slice of the head dimension.
        slice_vec4s: u32,
        /// vec4 of a row of weights in a tile.
        key_vec4s: u32,
        /// vec4 of a row of weights in a chunk of values.
        chunk_vec4s: u32,
        /// What is written where measures are cleared.
        fill: u32,
        /// First word of the ranges of keys in the workspace.
        ranges_at: u32,
        /// Rows of a map's cells.
        map_rows: u32,
        /// Cells of a row.
        map_columns: u32,
        /// Query rows of a cell.
        cell_rows: u32,
        /// Keys of a cell.
        cell_keys: u32,
        /// Query row of the first cell.
        cells_row0: u32,
        /// Share of a head in a map of several.
        head_share: f32,
        /// First word of the blocks that the block mask shows in part.
        block_parts_at: u32,
        /// For how many of them there is room.
        block_parts: u32,
        /// First word of the weights of additive scores in the workspace.
        score_weights_at: u32,
        /// First word of the factors of heads in the workspace.
        head_scales_at: u32,
        /// Filters of a convolution.
        channels: u32,
        /// Keys of a filter.
        filter_width: u32,
        /// Rows of the grid that queries and keys are places of.
        grid_rows: u32,
        /// Its columns.
        grid_columns: u32,
        /// Places that a query sees in each direction.
        grid_window: u32,
        /// Where windows start.
        grid_shift: u32,
        /// First word of the bias of places in the workspace.
        grid_bias_at: u32,
        /// A uniform is a multiple of 16 bytes long.
        padding: u32,
        /// The rest of that.
        more_padding: [u32; 2],
    }
}

/// A place as shaders read it. A stride that no index of more than 0 uses may be anything, so it may wrap.
#[must_use]
pub fn strides(layout: &Layout) -> [u32; 4] {
    [layout.offset, layout.batch, layout.head, layout.row].map(|n| n as u32)
}
