//! Whether the downs of what was applied bring the schema back.

use rusqlite::Connection;

use super::copy::{Copy, Place};
use super::{Downs, State};
use crate::error::{ErrorKind, Result};
use crate::migration::{Target, Version};
use crate::migrator::Migrator;
use crate::plan::{DataLoss, Goal};
use crate::replay::made_by;
use crate::report::Report;
use crate::run::{self, Job, undo};
use crate::schema::{Snapshot, diff};

impl Migrator {
    /// Runs the downs on the copy, which is thrown away, or on a copy of that.
    pub(super) fn try_downs(
        &self,
        conn: &Connection,
        place: Place<'_>,
        before: &State,
        after: &State,
        report: &Report,
    ) -> Result<Downs> {
        let done = report.applied.iter().chain(&report.marked);
        let new: Vec<Version> = done.filter_map(|done| done.version).collect();
        let Some(first) = new.iter().min() else {
            return Ok(Downs::not_tried("no migration was applied"));
        };
        let mut rows = after.applied.migrations.iter().map(|row| row.version);
        let stays = rows.rfind(|version| !new.contains(version));
        if stays.is_some_and(|stays| stays > *first) {
            return Ok(Downs::not_tried("what was applied is older than what was there"));
        }
        let to = stays.map_or(Target::Empty, Target::Version);
        let other = match place {
            Place::File(_) => Some(Copy::of(conn, self, Place::Temporary)?),
            Place::Memory | Place::Temporary => None,
        };
        let conn = other.as_ref().map_or(conn, |other| &other.conn);
        if let Err(error) = self.revert_on_copy(conn, to) {
            return Ok(match error.kind() {
                ErrorKind::Irreversible { .. } => Downs::Irreversible { why: error.to_string() },
                _ => Downs::Fail { error: Box::new(error) },
            });
        }
        // What repeatables made stays away after a revert, until they run again.
        let rows = before.applied.repeatables.iter().chain(&after.applied.repeatables);
        let aside: Vec<String> = rows.flat_map(made_by).collect();
        let left = Snapshot::of(conn)?.without(&aside);
        let changes = diff(&left, &before.schema.clone().without(&aside));
        Ok(if changes.is_empty() { Downs::Restore } else { Downs::Differ { changes } })
    }

    fn revert_on_copy(&self, conn: &Connection, to: Target) -> Result<()> {
        let allowing = self.clone().data_loss(DataLoss::Allow);
        let ledger = allowing.ledger_of(conn)?;
        let set = allowing.load()?;
        let job = allowing.job(conn, &ledger, &set)?;
        let job = Job { put_back: Some(undo::put_back), ..job };
        run::run(&job, Goal::Down(to)).map(drop)
    }
}
