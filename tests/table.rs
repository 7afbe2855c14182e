//! Tables that processes leave for one another: what one wrote, the next one reads, or nothing.
//!
//! A table is compared with a model of maps (`model.rs`), which says what should be in it.

#[path = "table/corpus.rs"]
mod corpus;
#[path = "table/forge.rs"]
mod forge;
#[path = "table/hostile.rs"]
mod hostile;
#[path = "table/merging.rs"]
mod merging;
#[path = "table/model.rs"]
mod model;
#[path = "table/pruning.rs"]
mod pruning;
#[path = "table/sealed.rs"]
mod sealed;
