//! A whole text, and what it declares.

use crate::shader::slot::Slot;

/// The text of a kernel, and what a host must know to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// WGSL, entry point `main`, bindings in group 0. Binding 0 is the uniform, [`Params`](crate::shader::Params).
    pub wgsl: String,
    /// The storage buffers that it binds.
    pub bindings: Vec<Binding>,
    /// The tensors whose places it reads from [`Params::places`](crate::shader::Params::places), in that order.
    pub places: Vec<Slot>,
}

/// A storage buffer that a text binds, at [`Slot::binding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What the text calls it.
    pub slot: Slot,
    /// Whether it is declared writable.
    pub writable: bool,
}
