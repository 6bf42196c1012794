//! One binary, a module per promise.

mod boot;
mod checksums;
mod splitting;
mod support;
