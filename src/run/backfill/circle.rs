//! A cursor has to go somewhere: one that stays, or comes back, would run for ever.

use rusqlite::types::Value;

use super::super::statements::shown;
use super::Runner;
use super::batch::Worked;
use crate::error::{Error, Result};
use crate::ledger::backfill::Place;
use crate::seed::Work;

/// A cursor from a while ago, each time twice as long: to come back to one is to go round in
/// circles.
#[derive(Default)]
pub(super) struct Trail {
    seen: Option<Value>,
    steps: u64,
}

const CIRCLES: &str = "its function has to return a cursor that lies further on, or `None` when \
                       everything is done";

impl Trail {
    /// A cursor was committed.
    pub(super) fn pass(&mut self, cursor: Option<&Value>) {
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.seen = cursor.cloned();
        }
    }
}

impl Runner<'_, '_> {
    /// A cursor has to go somewhere: one that stays, or comes back, would run for ever. So would a
    /// batch that moves its own rows ahead of the cursor, which shows in the count.
    pub(super) fn refuse_circle(&mut self, place: &Place, worked: &Worked) -> Result<()> {
        let Some(next) = &worked.next else { return Ok(()) };
        if place.cursor.as_ref() == Some(next) {
            return Err(self.stays(next));
        }
        if self.trail.seen.as_ref() == Some(next) {
            let at = shown(next.into());
            let what = format!("goes round in circles: its cursor is at {at} again");
            return Err(self.failed(&what, None).advise(CIRCLES));
        }
        if worked.exact && place.progress.total.is_some() {
            self.refuse_endless(place)
        } else {
            Ok(())
        }
    }

    /// Far more rows were done than were counted: they are counted again, for a table may have
    /// grown. Where as many are left as the last time, there is no end to it.
    fn refuse_endless(&mut self, place: &Place) -> Result<()> {
        let done = place.progress.done;
        let far = |total: u64| total.saturating_mul(2).saturating_add(10_000);
        let (limit, left) = match self.counted {
            Some((limit, left)) => (limit, Some(left)),
            None => (place.progress.total.map_or(u64::MAX, far), None),
        };
        let (true, Some(sql)) = (done > limit, &self.backfill.total) else { return Ok(()) };
        let now = self.counted_by(sql)?;
        // An `UPDATE` that is not to touch its key has an end, also where the total asks something
        // else.
        let has_end = matches!(self.backfill.work, Work::Update(_)) && now == 0;
        if has_end || left.is_none_or(|left| now < left) {
            self.counted = Some((done.saturating_add(far(now)), now));
            return Ok(());
        }
        let what = "does not end: far more rows are done than were counted";
        Err(self.failed(what, None).advise(
            "its batches must not change the column that its cursor goes by, nor add rows ahead of \
             it",
        ))
    }

    pub(super) fn stays(&self, at: &Value) -> Error {
        let what = format!("does not advance: its cursor stays at {}", shown(at.into()));
        self.failed(&what, None).advise(CIRCLES)
    }
}
