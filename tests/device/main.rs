//! All that needs a device: every kernel against the oracle, with faults that must be caught, and at length; acceptance cases;
//! caches, layers and whole models.

mod accuracy;
mod blocks;
mod cases;
mod compare;
mod decode;
mod devices;
mod faults;
mod features;
mod gpu;
mod indexes;
mod layers;
mod load;
mod long;
mod measures;
mod models;
mod mutants;
mod nn;
mod oracle;
mod others;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
