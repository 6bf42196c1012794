//! One binary, a module per promise.

mod boot;
mod rebuilds;
mod support;
mod transactions;
