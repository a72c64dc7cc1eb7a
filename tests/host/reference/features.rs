//! Each feature against numbers from elsewhere, and against the same problem put without it.

mod lengths;
mod numbers;
mod outputs;
mod pairs;

use wgpu_attention::{Layout, Order, ScoreStage, Shape, Spec};

use crate::{case::Case, reference::problem::Way};

const NO: f32 = f32::NEG_INFINITY;
const NONE: f64 = f64::NEG_INFINITY;

/// Every way gives the same bits for both.
#[track_caller]
fn identical(found: &Case, expected: &Case) {
    for way in Way::ALL {
        assert_eq!(way.run(found), way.run(expected), "{way:?} {:?}", found.spec);
    }
}

/// Some way, and so each of them, tells the two apart.
#[track_caller]
fn different(found: &Case, expected: &Case) {
    for way in Way::ALL {
        assert_ne!(way.run(found).out(), way.run(expected).out(), "{way:?} {:?}", found.spec);
    }
}

fn everything(spec: Spec) -> Spec {
    spec.lse().weights().scores(ScoreStage::Masked)
}

/// A dense layout of rows of so many columns.
fn columns(shape: &Shape, columns: u32) -> Layout {
    Order::Bhsd.layout(shape.q_heads, shape.q_len, columns)
}
