//! Who is at a backfill.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use super::super::Job;

/// Who is at a backfill: this run of this process. It says so when it no longer is, also after a
/// panic; where it cannot, that shows by the time.
pub(super) struct Lease<'a> {
    job: &'a Job<'a>,
    name: &'a str,
    pub(super) holder: String,
    pub(super) is_held: bool,
}

impl<'a> Lease<'a> {
    pub(super) fn new(job: &'a Job<'a>, name: &'a str) -> Self {
        let number = RandomState::new().build_hasher().finish();
        let holder = format!("{}-{number:016x}", std::process::id());
        Lease { job, name, holder, is_held: false }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.is_held && self.job.conn.is_autocommit() {
            let release = || self.job.ledger.release(self.name, &self.holder);
            let _ = self.job.patience.at_once(release);
        }
    }
}
