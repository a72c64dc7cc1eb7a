//! What the kernels must compute, on the CPU.
//!
//! [`attention`] is the oracle: `f64`, written from the formula, slow and easy to believe. It reads every input as a device
//! holds it, rounded to the tensor's element type, and rounds nothing after that but what is appended to a cache. [`rope`],
//! [`merge`], [`measures`], [`divergence`], [`locate`](locate()), [`linear`], [`norm`] and [`embed`] are the oracles of the other
//! problems. [`naive`] is the same formula in f32, whose error says what f32 and the type of out cost; [`Tolerance`] is made of the
//! two, and [`check`] holds all outputs of a problem to it. [`tiled`] is the twin of
//! the forward kernels: same tiles, same order. [`slopes`](slopes()) says how the score of a pair changes with what it depends on.

mod accept;
mod attention;
mod check;
pub(crate) mod divergence;
mod embed;
pub(crate) mod formula;
mod linear;
mod locate;
mod margin;
mod measures;
mod merge;
mod naive;
mod norm;
mod operands;
mod real;
mod rope;
mod score;
mod slopes;
mod stored;
mod tiled;
mod tolerance;

pub use crate::reference::{
    attention::{attention, row},
    check::{check, tolerances},
    divergence::divergence,
    embed::embed,
    formula::Row,
    linear::linear,
    locate::locate,
    margin::{Margin, Wrong},
    measures::measures,
    merge::merge,
    naive::naive,
    norm::norm,
    rope::rope,
    slopes::{PairSlopes, slopes},
    tiled::{Tiles, tiled},
    tolerance::{Mismatch, Tolerance},
};
