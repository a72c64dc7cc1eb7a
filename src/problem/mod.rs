//! Everything that can be planned.

pub(crate) mod attention;
pub(crate) mod divergence;
pub(crate) mod embed;
pub(crate) mod limits;
pub(crate) mod linear;
pub(crate) mod locate;
pub(crate) mod measures;
pub(crate) mod merge;
pub(crate) mod norm;
pub(crate) mod rope;
pub(crate) mod setters;
pub(crate) mod values;

use crate::{
    error::Error,
    problem::{
        attention::spec::Spec, divergence::Divergence, embed::Embed, linear::Linear, locate::Locate,
        measures::Measures, merge::Merge, norm::Norm, rope::Rope, values::Inputs,
    },
    tensor::{Tensor, view::View},
};

/// Declares the kinds of problem, and what is asked of each of them alike.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:literal $Kind:ident($Type:ty) checked by $check:ident,)*) => {
        /// What to compute: plain data, and the key under which plans are kept.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Problem { $($(#[$doc])* $Kind($Type),)* }

        impl Problem {
            /// The name of its kind.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$Kind(_) => $name,)* }
            }

            /// Whether this crate can compute it, on a device that is large enough.
            pub fn check(&self) -> Result<(), Error> {
                match self { $(Self::$Kind(problem) => problem.$check()?,)* }
                self.views().try_for_each(|view| view.check())
            }

            /// Shape, layout and type of one of its tensors; `None` where it has no such tensor.
            #[must_use]
            pub fn view(&self, tensor: Tensor) -> Option<View> {
                match self { $(Self::$Kind(problem) => problem.view(tensor),)* }
            }

            /// Whether its bindings may lie in one buffer.
            #[must_use]
            pub const fn shared_buffer(&self) -> bool {
                match self { $(Self::$Kind(problem) => problem.shares_buffer(),)* }
            }
        }

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
    /// Attention.
    "attention" Attention(Spec) checked by check_values,
    /// Rotary position embedding on its own.
    "rope" Rope(Rope) checked by check,
    /// Partial results into the whole.
    "merge" Merge(Merge) checked by check,
    /// Measures of attention weights.
    "measures" Measures(Measures) checked by check,
    /// Two attentions compared.
    "divergence" Divergence(Divergence) checked by check,
    /// A linear layer.
    "linear" Linear(Linear) checked by check,
    /// Normalisation of rows.
    "norm" Norm(Norm) checked by check,
    /// Rows of a table by number.
    "embed" Embed(Embed) checked by check,
    /// Keys with what a convolution of the previous weights finds.
    "locate" Locate(Locate) checked by check,
}

impl From<&Problem> for Problem {
    fn from(problem: &Problem) -> Self {
        problem.clone()
    }
}

impl Problem {
    /// Its tensors.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        Tensor::ALL.into_iter().filter_map(|tensor| self.view(tensor))
    }
}

impl Spec {
    /// Whether this crate can compute it, on a device that is large enough.
    ///
    /// Planning calls this first; call it yourself to check input early.
    pub fn check(&self) -> Result<(), Error> {
        Problem::from(self).check()
    }
}

impl Inputs<'_> {
    /// Whether each tensor that the problem reads is given, of the right kind and as long as it reaches, and no other.
    pub fn check(&self, problem: impl Into<Problem>) -> Result<(), Error> {
        let problem = problem.into();
        for view in problem.views().filter(|view| view.is_input()) {
            let (name, needs) = (view.tensor.name(), view.extent()? as usize);
            let got = match (self.get(view.tensor), view.dtype) {
                (Some(data), dtype) if data.fits(dtype) => data.len(),
                (Some(_), dtype) => {
                    return Err(Error::Type { name, got: dtype.name(), wanted: "of the kind of the data given" });
                }
                (None, _) => 0,
            };
            if got < needs {
                return Err(Error::Input { name, got, needs });
            }
        }
        for tensor in Tensor::ALL {
            if self.get(tensor).is_some() && !problem.view(tensor).is_some_and(|view| view.is_input()) {
                return Err(Error::UnusedInput { name: tensor.name() });
            }
        }
        Ok(())
    }
}
