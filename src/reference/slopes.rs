//! How the score of a pair changes with what it depends on: the derivatives that gradients are made of.

use crate::{
    problem::{attention::spec::Spec, values::Inputs},
    reference::{
        accept::accept,
        operands::{Operands, Query},
        real::Real,
    },
};

/// The partial derivatives of one score, in `f64`. What hides a key changes no score.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSlopes {
    /// By the product, or the additive score in its place: what the softcap leaves of the scale.
    pub product: f64,
    /// By each element of the query.
    pub q: Vec<f64>,
    /// By each element of the key.
    pub k: Vec<f64>,
    /// By each weight of an additive score; none without it.
    pub score_weights: Vec<f64>,
    /// By the factor of the head; 0 without one.
    pub head_scale: f64,
    /// By the ALiBi slope of the head: minus the distance; 0 without one.
    pub alibi_slope: f64,
    /// By the bias of the pair: 1; 0 without one.
    pub bias: f64,
    /// By the bias of where the key lies in a grid: 1; 0 where it has none.
    pub grid_bias: f64,
}

/// The slopes of the score of query row `i` and key `j` of a head; `None` where the row belongs to no sequence.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses, or there is no such pair.
///
/// ```
/// use wgpu_attention::{Inputs, Shape, Spec, reference};
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 2, value_dim: 1 };
/// let spec = Spec::new(shape).scale(0.5);
/// let inputs = Inputs::new(&[3.0, 4.0], &[6.0, 8.0], &[1.0]);
/// let slopes = reference::slopes(&spec, &inputs, [0, 0, 0, 0]).expect("nothing is packed");
/// assert_eq!((slopes.product, slopes.q, slopes.k), (0.5, vec![3.0, 4.0], vec![1.5, 2.0]));
/// ```
#[must_use]
pub fn slopes(spec: &Spec, inputs: &Inputs<'_>, [batch, head, i, j]: [u32; 4]) -> Option<PairSlopes> {
    accept(spec, inputs);
    let operands = Operands::new::<f64>(spec, inputs);
    let query = operands.query((batch, head, i))?;
    let product: f64 = query.terms::<f64>(j).into_iter().sum();
    let slope = query.slope(product);
    let [q, k, weights] = query.term_slopes::<f64>(j).map(|slopes| slopes.into_iter().map(|x| x * slope).collect());
    Some(PairSlopes {
        product: slope,
        q,
        k,
        score_weights: weights,
        head_scale: query.head_scale.map_or(0.0, |_| f64::from(query.scale) * product * query.cap_slope(product)),
        alibi_slope: query.slope_of_alibi(j),
        bias: f64::from(u8::from(query.bias.is_some())),
        grid_bias: f64::from(u8::from(query.grid_bias(j).is_some())),
    })
}

impl Query<'_> {
    /// The derivative of the score by the product: the scale, and what the softcap leaves of it.
    fn slope<T: Real>(&self, product: T) -> T {
        self.factor::<T>() * self.cap_slope(product)
    }

    /// The derivative of the capped score by the scaled one.
    fn cap_slope<T: Real>(&self, product: T) -> T {
        let one = T::of_integer(1);
        self.operands.spec.softcap.map_or(one, |cap| {
            let t = (self.factor::<T>() * product / cap.get().into()).tanh();
            one - t * t
        })
    }

    /// The derivatives of the product of key `j` by the elements of the query and of the key, and of an additive score by
    /// its weights.
    fn term_slopes<T: Real>(&self, j: u32) -> [Vec<T>; 3] {
        let pairs: Vec<(T, T)> = self.q.iter().zip(self.key(j)).map(|(&q, &k)| (q.into(), k.into())).collect();
        let Some(weights) = self.weights else {
            return [pairs.iter().map(|&(_, k)| k).collect(), pairs.iter().map(|&(q, _)| q).collect(), vec![]];
        };
        let tanh = pairs.iter().map(|&(q, k)| (q + k).tanh());
        let slope = |(&w, t): (&f32, T)| T::from(w) * (T::of_integer(1) - t * t);
        let slopes: Vec<T> = weights.iter().zip(tanh.clone()).map(slope).collect();
        [slopes.clone(), slopes, tanh.collect()]
    }

    /// The derivative of the score by the ALiBi slope.
    fn slope_of_alibi<T: Real>(&self, j: u32) -> T {
        self.slope.map_or(T::default(), |_| T::default() - T::of_integer(self.distance(j)))
    }
}
