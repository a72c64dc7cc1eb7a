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
        attention::spec::Spec,
        divergence::Divergence,
        embed::Embed,
        linear::Linear,
        locate::Locate,
        measures::Measures,
        merge::Merge,
        norm::Norm,
        rope::Rope,
        values::{Data, Inputs, Outputs},
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

impl<T> Outputs<T> {
    /// The rows of one head of one batch item, `[rows, dim]`, of an output of a problem; `None` where there is no such output or head, or
    /// where its rows do not lie side by side.
    ///
    /// ```
    /// use wgpu_attention::{Inputs, Shape, Spec, Tensor, reference};
    /// let spec = Spec::new(Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 1, kv_len: 2, head_dim: 1, value_dim: 1 }).weights();
    /// let outputs = reference::attention(&spec, &Inputs::new(&[0.0, 0.0], &[0.0, 0.0], &[1.0, 3.0]));
    /// assert_eq!(outputs.head(&spec, Tensor::Weights, 0, 1), Some(&[0.5, 0.5][..]));
    /// ```
    #[must_use]
    pub fn head(&self, problem: impl Into<Problem>, tensor: Tensor, batch: u32, head: u32) -> Option<&[T]> {
        let View { sizes, layout, .. } = problem.into().view(tensor)?;
        let [batches, heads, rows, dim] = sizes;
        let side_by_side = rows == 1 || layout.row == u64::from(dim);
        if batch >= batches || head >= heads || !side_by_side {
            return None;
        }
        let (batch, head) = (u64::from(batch).checked_mul(layout.batch)?, u64::from(head).checked_mul(layout.head)?);
        let start = layout.offset.checked_add(batch)?.checked_add(head)?;
        self.get(tensor)?.get(usize::try_from(start).ok()?..)?.get(..rows as usize * dim as usize)
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
    /// Whether each tensor that the problem reads is given, of the right kind and length, and no other. A dense tensor has exactly its
    /// elements; one with a layout of its own may be a part of longer data.
    pub fn check(&self, problem: impl Into<Problem>) -> Result<(), Error> {
        let problem = problem.into();
        problem.check()?;
        for view in problem.views().filter(|view| view.is_input()) {
            let (name, needs) = (view.tensor.name(), view.extent()? as usize);
            let data = self.get(view.tensor).ok_or(Error::MissingInput { name, needs })?;
            if !data.fits(view.dtype) {
                return Err(Error::Type { name, got: view.dtype.name(), wanted: "of the kind of the data given" });
            }
            let got = data.len();
            if got < needs || got > needs && view.is_dense() {
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

impl Inputs<'_> {
    /// [`check`](Self::check), and whether starts of packed sequences go up, to at most the rows there are: a kernel would clamp them
    /// without a word.
    pub(crate) fn check_with_starts(&self, problem: &Problem) -> Result<(), Error> {
        self.check(problem)?;
        for (starts, rows) in [(Tensor::CuQ, Tensor::Q), (Tensor::CuK, Tensor::K)] {
            if let (Some(Data::Words(words)), Some(rows)) = (self.get(starts), problem.view(rows)) {
                ascend(starts.name(), words, rows.sizes[2])?;
            }
        }
        Ok(())
    }
}

/// Each start of a packed sequence is at least the one before, and at most the number of rows.
fn ascend(name: &'static str, starts: &[u32], most: u32) -> Result<(), Error> {
    let mut least = 0;
    for (index, &got) in starts.iter().enumerate() {
        if got < least || got > most {
            return Err(Error::Starts { name, index, got, least, most });
        }
        least = got;
    }
    Ok(())
}
