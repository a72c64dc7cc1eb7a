//! Everything that can be planned.

use crate::{
    divergence::Divergence, embed::Embed, error::Error, linear::Linear, locate::Locate, measures::Measures,
    merge::Merge, norm::Norm, rope::Rope, spec::Spec, tensor::Tensor, view::View,
};

/// What to compute: plain data, and the key under which plans are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Attention.
    Attention(Spec),
    /// Rotary position embedding on its own.
    Rope(Rope),
    /// Partial results into the whole.
    Merge(Merge),
    /// Measures of attention weights.
    Measures(Measures),
    /// Two attentions compared.
    Divergence(Divergence),
    /// A linear layer.
    Linear(Linear),
    /// Normalisation of rows.
    Norm(Norm),
    /// Rows of a table by number.
    Embed(Embed),
    /// Keys with what a convolution of the previous weights finds.
    Locate(Locate),
}

impl Problem {
    /// Whether this crate can compute it, on a device that is large enough.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Attention(spec) => spec.check_values()?,
            Self::Rope(rope) => rope.check()?,
            Self::Merge(merge) => merge.check()?,
            Self::Measures(measures) => measures.check()?,
            Self::Divergence(divergence) => divergence.check()?,
            Self::Linear(linear) => linear.check()?,
            Self::Norm(norm) => norm.check()?,
            Self::Embed(embed) => embed.check()?,
            Self::Locate(locate) => locate.check()?,
        }
        self.views().try_for_each(|view| view.check())
    }

    /// Shape, layout and type of one of its tensors; `None` where it has no such tensor.
    #[must_use]
    pub fn view(&self, tensor: Tensor) -> Option<View> {
        match self {
            Self::Attention(spec) => spec.view(tensor),
            Self::Rope(rope) => rope.view(tensor),
            Self::Merge(merge) => merge.view(tensor),
            Self::Measures(measures) => measures.view(tensor),
            Self::Divergence(divergence) => divergence.view(tensor),
            Self::Linear(linear) => linear.view(tensor),
            Self::Norm(norm) => norm.view(tensor),
            Self::Embed(embed) => embed.view(tensor),
            Self::Locate(locate) => locate.view(tensor),
        }
    }

    /// Its tensors.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        Tensor::ALL.into_iter().filter_map(|tensor| self.view(tensor))
    }

    /// Whether its bindings may lie in one buffer.
    #[must_use]
    pub const fn shared_buffer(&self) -> bool {
        match self {
            Self::Attention(spec) => spec.shared_buffer,
            Self::Rope(rope) => rope.shared_buffer,
            Self::Merge(merge) => merge.shared_buffer,
            Self::Measures(measures) => measures.spec.shared_buffer,
            Self::Divergence(divergence) => divergence.shared_buffer,
            Self::Linear(linear) => linear.shared_buffer,
            Self::Norm(norm) => norm.shared_buffer,
            Self::Embed(embed) => embed.shared_buffer,
            Self::Locate(locate) => locate.shared_buffer,
        }
    }
}

impl View {
    /// Whether it has a size, and no two elements at one address where it is written.
    fn check(&self) -> Result<(), Error> {
        self.bytes()?;
        let (name, layout) = (self.tensor.name(), self.layout);
        if self.written && !layout.is_injective(self.sizes) {
            let (batch, head, row) = (layout.batch, layout.head, layout.row);
            return Err(Error::Strides { name, batch, head, row });
        }
        Ok(())
    }
}

/// Each kind of problem, owned or borrowed, is a problem.
macro_rules! problems {
    ($($Kind:ident from $Type:ty,)*) => {
        $(impl From<$Type> for Problem {
            fn from(problem: $Type) -> Self {
                Self::$Kind(problem)
            }
        }

        impl From<&$Type> for Problem {
            fn from(problem: &$Type) -> Self {
                Self::$Kind(problem.clone())
            }
        })*
    };
}

problems! {
    Attention from Spec,
    Rope from Rope,
    Merge from Merge,
    Measures from Measures,
    Divergence from Divergence, Embed from Embed, Linear from Linear, Locate from Locate, Norm from Norm,
}

impl From<&Problem> for Problem {
    fn from(problem: &Problem) -> Self {
        problem.clone()
    }
}
