//! The plan and the buffers of one problem, which are kept from one call to the next.

use crate::{device::bound::Bound, tensor::view::View};

/// The plan and buffers of one problem, kept between calls.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) bound: Bound,
    pub(super) buffers: Vec<(View, wgpu::Buffer)>,
    /// All outputs, one after the other, as the host reads them.
    pub(super) staging: wgpu::Buffer,
}
