//! One binary, a module per promise.

mod boot;
mod seeds;
mod support;
