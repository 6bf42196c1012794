//! One binary, a module per promise.

mod boot;
mod environment;
mod rebuilds;
mod support;
mod texts;
mod transactions;
