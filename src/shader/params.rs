//! The uniform that every kernel reads. Mirrors `Params` in shaders/parts/common/params.wgsl; tests/host/shaders.rs compares the two.

use crate::tensor::layout::Layout;

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
        /// Places of the tensors that a kernel addresses, in the order of [`Source::places`](crate::shader::Source::places).
        places: [[u32; 4]; 16],
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
        /// Filters of a convolution.
        channels: u32,
        /// Keys of a filter.
        filter_width: u32,
        /// Rows of the grid whose cells queries and keys are.
        grid_rows: u32,
        /// Its columns.
        grid_columns: u32,
        /// Cells that a query sees in each direction.
        grid_window: u32,
        /// Where windows start.
        grid_shift: u32,
        /// First row of the learned positions.
        first_position: u32,
        /// Rows after which the positions start again.
        period: u32,
        /// What a normalisation adds to the mean of squares, or the least length.
        epsilon: f32,
        /// A uniform is a multiple of 16 bytes long.
        padding: [u32; 2],
    }
}

impl Params {
    /// Most places that a kernel reads.
    pub const PLACES: usize = 16;
}

/// A place as shaders read it. A stride that no index of more than 0 uses may be anything, so it may wrap.
#[must_use]
pub fn strides(layout: &Layout) -> [u32; 4] {
    [layout.offset, layout.batch, layout.head, layout.row].map(|n| n as u32)
}
