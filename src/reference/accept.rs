//! The check that stands before every oracle.

use crate::problem::{Problem, values::Inputs};

/// Panics where a problem or its inputs are refused.
pub(super) fn accept(problem: impl Into<Problem>, inputs: &Inputs<'_>) {
    let problem = problem.into();
    if let Err(error) = problem.check().and_then(|()| inputs.check(problem)) {
        panic!("{error}");
    }
}
