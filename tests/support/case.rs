//! A problem and its inputs, invented or given: the one inventor for all tests, with a device and without.

use std::{collections::BTreeMap, ops::Range};

use wgpu_attention::{Data, Inputs, Problem, Spec, Tensor, View};

use super::draw::draw;

/// Values of one tensor.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Words(Vec<u32>),
    Bools(Vec<bool>),
}

impl Values {
    fn data(&self) -> Data<'_> {
        match self {
            Self::Floats(data) => Data::Floats(data),
            Self::Words(data) => Data::Words(data),
            Self::Bools(data) => Data::Bools(data),
        }
    }
}

macro_rules! values {
    ($($Kind:ident of $Element:ty,)*) => {
        $(impl From<Vec<$Element>> for Values {
            fn from(data: Vec<$Element>) -> Self {
                Self::$Kind(data)
            }
        }

        impl From<&[$Element]> for Values {
            fn from(data: &[$Element]) -> Self {
                Self::$Kind(data.to_vec())
            }
        }

        impl<const N: usize> From<[$Element; N]> for Values {
            fn from(data: [$Element; N]) -> Self {
                Self::$Kind(data.to_vec())
            }
        })*
    };
}

values! {
    Floats of f32,
    Words of u32,
    Bools of bool,
}

/// A problem, attention unless said otherwise, and its inputs, each exactly as long as its tensor reaches.
#[derive(Clone, Debug)]
pub(crate) struct Case<P = Spec> {
    pub(crate) spec: P,
    /// The first row of weights and scores.
    pub(crate) first_row: u32,
    pub(crate) values: BTreeMap<usize, Values>,
}

impl<P: Clone + Into<Problem>> Case<P> {
    /// A problem without inputs, which the test gives.
    pub(crate) fn new(spec: P) -> Self {
        Self { spec, first_row: 0, values: BTreeMap::new() }
    }

    /// Every input drawn as [`draw`] says. Gaps between strides, and keys and values that do not exist, are no numbers.
    pub(crate) fn random(spec: P, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut case = Self::new(spec);
        let problem = case.problem();
        for view in problem.views().filter(View::is_input) {
            case.values.insert(view.tensor as usize, draw(&problem, &view, &mut rng));
        }
        case.poison();
        case
    }

    /// The same with other values of one tensor.
    pub(crate) fn with(mut self, tensor: Tensor, values: impl Into<Values>) -> Self {
        self.values.insert(tensor as usize, values.into());
        self
    }

    /// Another problem on the same values, as far as it reads them.
    pub(crate) fn as_spec<Q: Clone + Into<Problem>>(&self, spec: Q) -> Case<Q> {
        let mut case = Case { first_row: self.first_row, values: self.values.clone(), ..Case::new(spec) };
        let read: Vec<_> = case.problem().views().filter(View::is_input).map(|view| view.tensor as usize).collect();
        case.values.retain(|tensor, _| read.contains(tensor));
        case
    }

    fn problem(&self) -> Problem {
        self.spec.clone().into()
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let tensors = Tensor::ALL.into_iter().filter_map(|tensor| Some((tensor, self.values.get(&(tensor as usize))?)));
        tensors.fold(Inputs::default(), |inputs, (tensor, values)| inputs.set(tensor, values.data()))
    }

    pub(crate) fn floats(&self, tensor: Tensor) -> &[f32] {
        match self.values.get(&(tensor as usize)) {
            Some(Values::Floats(data)) => data,
            other => panic!("{tensor:?} is {other:?}"),
        }
    }

    pub(crate) fn floats_mut(&mut self, tensor: Tensor) -> &mut [f32] {
        match self.values.get_mut(&(tensor as usize)) {
            Some(Values::Floats(data)) => data,
            other => panic!("{tensor:?} is {other:?}"),
        }
    }

    /// Chosen lengths in the place of random ones; what then does not exist is poisoned, and what does is not.
    pub(crate) fn set_words(&mut self, tensor: Tensor, words: impl Into<Vec<u32>>) {
        self.values.insert(tensor as usize, Values::Words(words.into()));
        let problem = self.problem();
        for view in cached(&problem) {
            let fresh = draw(&problem, &view, &mut fastrand::Rng::with_seed(view.tensor as u64));
            self.values.insert(view.tensor as usize, fresh);
        }
        self.poison();
    }

    fn words(&self, tensor: Tensor) -> Option<&[u32]> {
        match self.values.get(&(tensor as usize)) {
            Some(Values::Words(data)) => Some(data),
            _ => None,
        }
    }

    /// Where the rows of each packed sequence lie in a tensor; `None` where nothing is packed.
    pub(crate) fn sequences(&self, starts: Tensor) -> Option<Vec<Range<u32>>> {
        Some(self.words(starts)?.windows(2).map(|pair| pair[0]..pair[1]).collect())
    }

    /// The keys of a batch item that exist before an append.
    fn keys(&self, batch: u32, capacity: u32) -> Vec<Range<u32>> {
        let len = self.words(Tensor::KvLens).map_or(capacity, |lens| lens[batch as usize].min(capacity));
        self.sequences(Tensor::CuK).unwrap_or_else(|| std::iter::once(0..len).collect())
    }

    /// NaN or infinity where keys and values do not exist.
    fn poison(&mut self) {
        for view in cached(&self.problem()) {
            let keys: Vec<_> = (0..view.sizes[0]).map(|batch| self.keys(batch, view.sizes[2])).collect();
            let bad = if view.tensor == Tensor::K { f32::NAN } else { f32::INFINITY };
            let data = self.floats_mut(view.tensor);
            each(&view, |at, [batch, _, row, _]| {
                if !keys[batch as usize].iter().any(|keys| keys.contains(&row)) {
                    data[at] = bad;
                }
            });
        }
    }
}

/// Keys and values that a problem reads.
fn cached(problem: &Problem) -> impl Iterator<Item = View> + use<> {
    [problem.view(Tensor::K), problem.view(Tensor::V)].into_iter().flatten().filter(View::is_input)
}

/// The place in memory and the indices of every element of a tensor.
pub(crate) fn each(view: &View, mut visit: impl FnMut(usize, [u32; 4])) {
    let [batch, heads, rows, dim] = view.sizes;
    let at = view.layout;
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        for (i, d) in (0..rows).flat_map(|i| (0..dim).map(move |d| (i, d))) {
            let start = at.offset + u64::from(b) * at.batch + u64::from(h) * at.head + u64::from(i) * at.row;
            visit((start + u64::from(d)) as usize, [b, h, i, d]);
        }
    }
}
