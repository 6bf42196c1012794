//! One binary, a module per promise.

mod bad_sets;
mod boot;
mod checksums;
mod directives;
mod splitting;
mod support;
