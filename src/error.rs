//! Every refusal, worded for the caller.

use std::fmt::{self, Debug, Formatter};

/// Why a problem, a device or a set of buffers was refused. Nothing was recorded, written or submitted.
///
/// `Debug` says the same as `Display`, so that a program whose `main` returns it ends with the advice and not with a dump of fields.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size is zero.
    #[error("{name} is 0")]
    Zero {
        /// Which size.
        name: &'static str,
    },
    /// A size is above what this crate or this device can address.
    #[error("{name} {got} is above {max}")]
    TooLarge {
        /// Which size.
        name: &'static str,
        /// Its value.
        got: u64,
        /// The largest accepted.
        max: u64,
    },
    /// A size does not fit in 64 bits.
    #[error("the size of {name} overflows 64 bits")]
    Overflow {
        /// Which tensor.
        name: &'static str,
    },
    /// `q_heads` is not a multiple of `kv_heads`.
    #[error("{q_heads} query heads cannot share {kv_heads} key heads evenly")]
    Heads {
        /// Query heads.
        q_heads: u32,
        /// Key and value heads.
        kv_heads: u32,
    },
    /// A number that must be finite is not.
    #[error("{name} is {got}, not a finite number")]
    NotFinite {
        /// Which number.
        name: &'static str,
        /// Its value, as printed.
        got: String,
    },
    /// A number that must be above 0 and normal is not: a subnormal one may be 0 to a device.
    #[error("{name} is {got}, not a normal number above 0")]
    NotPositive {
        /// Which number.
        name: &'static str,
        /// Its value, as printed.
        got: String,
    },
    /// A number is subnormal, which a device may take for 0.
    #[error("{name} is {got}, a subnormal number, which a device may take for 0")]
    Subnormal {
        /// Which number.
        name: &'static str,
        /// Its value, as printed.
        got: String,
    },
    /// A softcap is so large that dividing by it leaves nothing of a score.
    #[error("softcap is {got}, above {max}: leave it out where scores are not capped")]
    Softcap {
        /// Its value, as printed.
        got: String,
        /// The largest accepted, as printed.
        max: String,
    },
    /// A finite number is beyond what the element type of its tensor holds.
    #[error("element {index} of {name} is {got}, beyond what {dtype} holds")]
    Beyond {
        /// Which tensor.
        name: &'static str,
        /// Which of its elements.
        index: usize,
        /// Its value, as printed.
        got: String,
        /// The name of the element type.
        dtype: &'static str,
    },
    /// A size that must be even is not.
    #[error("{name} {got} is odd")]
    Odd {
        /// Which size.
        name: &'static str,
        /// Its value.
        got: u64,
    },
    /// A block mask has blocks of a length that kernels cannot have.
    #[error("block {got} is not a power of two from {least} to {most}")]
    Block {
        /// Its value.
        got: u32,
        /// The least accepted.
        least: u32,
        /// The largest accepted.
        most: u32,
    },
    /// A block mask was made for another shape.
    #[error("the block mask is made for {name} {got}, the shape has {needs}")]
    BlockMask {
        /// Which size.
        name: &'static str,
        /// That of the mask.
        got: u32,
        /// That of the shape.
        needs: u32,
    },
    /// An element type is none of those that a tensor can have.
    #[error("{name} is {got}, not {wanted}")]
    Type {
        /// Which choice or tensor.
        name: &'static str,
        /// The name of the type ([`DType::name`](crate::DType::name)).
        got: &'static str,
        /// The types that it can have.
        wanted: &'static str,
    },
    /// Two features exclude each other.
    #[error("{a} does not go with {b}")]
    Conflict {
        /// One.
        a: &'static str,
        /// The other, and why.
        b: &'static str,
    },
    /// A range of heads or rows is empty, or reaches past what there is.
    #[error("{name} {from}..{to} are empty or outside 0..{len}")]
    Range {
        /// Heads or rows.
        name: &'static str,
        /// The first.
        from: u32,
        /// One past the last.
        to: u32,
        /// How many there are.
        len: u32,
    },
    /// Two attentions that are compared have unequal sizes, or other heads or rows chosen.
    #[error("attentions that are compared differ in {name}: {one} and {other}")]
    Unequal {
        /// Which size or choice.
        name: &'static str,
        /// What one has.
        one: String,
        /// What the other has.
        other: String,
    },
    /// Nothing is asked for.
    #[error("nothing to compute: without out, ask for lse, weights or scores")]
    NoOutput,
    /// A mask or ALiBi was set, and not where its diagonal stands.
    #[error("a causal mask, a window or ALiBi needs Spec::align: say where query 0 stands among the keys")]
    Align,
    /// A tensor that is written may have two elements at one address.
    #[error(
        "{name} may be written twice at one address: of its strides {batch} (batch), {head} (head) and {row} (row), each must \
         step over all that smaller ones reach"
    )]
    Strides {
        /// Which tensor.
        name: &'static str,
        /// Elements from one batch item to the next.
        batch: u64,
        /// Elements from one head to the next.
        head: u64,
        /// Elements from one row to the next.
        row: u64,
    },
    /// The feature is part of the API, and not built yet.
    #[error("{feature} is not built yet")]
    NotBuilt {
        /// Which feature.
        feature: &'static str,
    },
    /// A kernel cannot run this problem on this device.
    #[error("kernel {kernel} cannot run: {because}")]
    Kernel {
        /// Which kernel.
        kernel: &'static str,
        /// The value and the limit.
        because: String,
    },
    /// The least part of a tensor that one dispatch needs is longer than one binding of this device.
    #[error("{name} takes {bytes} bytes for one row of work, above the {max} that this device binds")]
    BindingLimit {
        /// Which tensor.
        name: &'static str,
        /// Bytes that the part reaches over.
        bytes: u64,
        /// `max_storage_buffer_binding_size` of the device.
        max: u64,
    },
    /// A tensor is longer than a buffer of this device can be.
    #[error("{name} takes {}, above the {} that one buffer of this device can have", bytes_in_words(*.bytes), bytes_in_words(*.max))]
    BufferLimit {
        /// Which tensor.
        name: &'static str,
        /// Bytes that its shape and layout reach.
        bytes: u64,
        /// `max_buffer_size` of the device.
        max: u64,
    },
    /// The plan needs a binding that was not given.
    #[error("binding {name} is missing; it takes {}", bytes_in_words(*.needs))]
    Missing {
        /// Which tensor.
        name: &'static str,
        /// Bytes that the tensor's shape and layout reach.
        needs: u64,
    },
    /// A binding was given that the plan does not use.
    #[error("binding {name} is given, but this plan does not use it")]
    Unused {
        /// Which tensor.
        name: &'static str,
    },
    /// A binding is too short for its tensor.
    #[error("binding {name} has {got} bytes, needs {needs}")]
    Size {
        /// Which tensor.
        name: &'static str,
        /// Bytes from the binding's offset to its end.
        got: u64,
        /// Bytes that the tensor's shape and layout reach.
        needs: u64,
    },
    /// A binding starts where this device cannot bind.
    #[error("binding {name} starts at byte {offset}, not a multiple of {align}")]
    Offset {
        /// Which tensor.
        name: &'static str,
        /// Its byte offset.
        offset: u64,
        /// `min_storage_buffer_offset_alignment` of the device.
        align: u64,
    },
    /// A buffer was created without a usage it needs.
    #[error("the buffer of binding {name} lacks usage {needs}")]
    Usage {
        /// Which tensor.
        name: &'static str,
        /// The missing `wgpu::BufferUsages`.
        needs: &'static str,
    },
    /// Two bindings share bytes, and one of them is written.
    #[error("bindings {a} and {b} overlap, and one of them is written")]
    Overlap {
        /// One tensor.
        a: &'static str,
        /// The other.
        b: &'static str,
    },
    /// Two bindings share a buffer, apart from each other, and one of them is written.
    #[error("bindings {a} and {b} lie in one buffer, and one of them is written: set Spec::shared_buffer")]
    SharedBuffer {
        /// One tensor.
        a: &'static str,
        /// The other.
        b: &'static str,
    },
    /// A range of steps that the plan does not have.
    #[error("steps {from}..{to} are outside 0..{steps}")]
    Steps {
        /// First step asked for.
        from: usize,
        /// One past the last.
        to: usize,
        /// How many there are.
        steps: usize,
    },
    /// The problem reads an input that was not given.
    #[error("input {name} is missing; it has {needs} elements")]
    MissingInput {
        /// Which tensor.
        name: &'static str,
        /// Elements that the tensor's shape and layout reach.
        needs: usize,
    },
    /// Starts of packed sequences go backwards, or past the rows that there are.
    #[error(
        "{name}[{index}] is {got}, outside {least}..={most}: each start is at least the one before and at most the number of rows"
    )]
    Starts {
        /// The starts of which tensor.
        name: &'static str,
        /// Which of them.
        index: usize,
        /// Its value.
        got: u32,
        /// The start before it.
        least: u32,
        /// How many rows there are.
        most: u32,
    },
    /// A cache has room for more keys than the tables of its rotary embedding have positions.
    #[error("the rotary tables have {positions} positions, and kv_len is {kv_len}: the keys past them would not turn")]
    Positions {
        /// Rows of the tables.
        positions: u32,
        /// Keys that the cache has room for.
        kv_len: u32,
    },
    /// A slice of host memory is shorter than its tensor reaches, or a dense tensor has another number of elements.
    #[error("input {name} has {got} elements, needs {needs}")]
    Input {
        /// Which tensor.
        name: &'static str,
        /// Elements given.
        got: usize,
        /// Elements that the tensor's shape and layout reach.
        needs: usize,
    },
    /// A slice of host memory was given that the problem does not read.
    #[error("input {name} is given, but this problem does not read it")]
    UnusedInput {
        /// Which tensor.
        name: &'static str,
    },
    /// There is no adapter, or none of the wanted name.
    #[error(
        "no GPU adapter. A Vulkan, Metal or DX12 driver of your GPU gives one; without a GPU a software driver does (package \
         mesa-vulkan-drivers on Debian, Ubuntu and Fedora, vulkan-swrast on Arch). Looked for: {because}"
    )]
    NoAdapter {
        /// What was looked for, and what there is.
        because: String,
    },
    /// The driver refused to make something.
    #[error("the device refused {what}: {because}")]
    Device {
        /// What was asked for.
        what: &'static str,
        /// What the driver said.
        because: String,
    },
    /// The device has no memory left for something.
    #[error("the device is out of memory for {what}: {because}")]
    OutOfMemory {
        /// What was asked for.
        what: &'static str,
        /// What the driver said.
        because: String,
    },
    /// The device did not finish in time ([`Gpu::with_timeout`](crate::Gpu::with_timeout)).
    #[error("the device did not finish within {seconds} s")]
    Timeout {
        /// How long it was waited for.
        seconds: f32,
    },
    /// The device was lost before the work was done; only a new one helps.
    #[error("the device was lost: {because}")]
    Lost {
        /// What is known of it.
        because: String,
    },
    /// A tensor of a state dict is not what a model needs.
    #[cfg(feature = "nn")]
    #[error("state dict: {name}: {because}")]
    StateDict {
        /// Its name.
        name: String,
        /// What it is, and what was expected.
        because: String,
    },
    /// A node of a graph has another size than a layer needs.
    #[cfg(feature = "nn")]
    #[error("{name} has {what} {got}, needs {wanted}")]
    Node {
        /// Which input of the layer.
        name: &'static str,
        /// Rows or width.
        what: &'static str,
        /// What it is.
        got: u32,
        /// What the layer needs.
        wanted: u32,
    },
    /// The rows of an input are not those of a batch of sequences.
    #[cfg(feature = "nn")]
    #[error("{name} has {rows} rows, which {batch} sequences of equal length cannot share")]
    Batch {
        /// Which input of the layer.
        name: &'static str,
        /// Its rows.
        rows: u32,
        /// How many sequences there are.
        batch: u32,
    },
    /// A node was given to a graph, or to a model, that it does not belong to.
    #[cfg(feature = "nn")]
    #[error("a node belongs to another graph than the one that it is used with")]
    OtherGraph,
    /// Heads do not share an embedding evenly.
    #[cfg(feature = "nn")]
    #[error("{heads} heads cannot share an embedding of {embed_dim} evenly")]
    HeadDim {
        /// Elements of a token.
        embed_dim: u32,
        /// How many heads.
        heads: u32,
    },
    /// A picture cannot be drawn.
    #[cfg(feature = "plot")]
    #[error("cannot draw: {because}")]
    Picture {
        /// The value and the limit.
        because: String,
    },
}

impl Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Bytes as people read them: "65536 bytes (64.0 KiB)".
fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = bytes.max(1).ilog2() / 10;
    match power.checked_sub(1) {
        None => format!("{bytes} bytes"),
        Some(unit) => {
            format!("{bytes} bytes ({:.1} {})", bytes as f64 / 1024f64.powi(power as i32), UNITS[unit as usize])
        }
    }
}
