//! Kernels on a device: against the oracle, with faults that must be caught, and at length. Needs an adapter.

mod blocks;
mod compare;
mod features;
mod layers;
mod long;
mod measures;
mod mutants;
mod oracle;
mod others;
mod support;
