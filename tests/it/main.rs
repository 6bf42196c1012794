//! One binary, a module per promise.

mod boot;
mod splitting;
mod support;
