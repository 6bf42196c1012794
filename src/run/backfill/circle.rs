//! A cursor has to go somewhere: one that stays, comes back, or chases rows that its own batches move
//! ahead of it, would run for ever.

use rusqlite::types::Value;

use super::super::statements::shown;
use super::super::table;
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

/// How much a function has done that added no row, beside what there is to do it to.
#[derive(Default)]
pub(super) struct Tally {
    /// Rows that it went over, as far as that can be told from outside: no more than it changed.
    walked: u64,
    changed: u64,
    /// The count of rows at the first look, and what had been done by then.
    first: Option<Looked>,
    /// Looked at again once so many rows are changed.
    next: u64,
}

#[derive(Clone, Copy)]
struct Looked {
    rows: u64,
    walked: u64,
    changed: u64,
}

/// The rows are counted once so many are changed, and then from so many on.
const FIRST_LOOK: u64 = 1_000;
const NEXT_LOOK: u64 = 100_000;

/// How often a function may go over all rows that there are, and how many rows of change each may
/// cost, triggers included, before it counts as one without end; and what is granted besides, for
/// what goes by something else than rows.
const OFTEN: u64 = 10;
const COST: u64 = 100;
const BESIDES: u64 = 100_000;

impl Tally {
    /// A batch was committed.
    pub(super) fn add(&mut self, walked: u64, changed: u64) {
        self.walked += walked.min(changed);
        self.changed += changed;
    }

    /// Whether it is time to look how many rows there are.
    fn is_due(&self) -> bool {
        self.changed >= self.next.max(FIRST_LOOK)
    }

    /// Whether that many rows, now that there are so many, are more than there can have been to do.
    fn is_too_much(&mut self, rows: u64) -> bool {
        let (walked, changed) = (self.walked, self.changed);
        let first = *self.first.get_or_insert(Looked { rows, walked, changed });
        self.next = changed.saturating_mul(2).max(NEXT_LOOK);
        // Rows that were added are work that has an end: what is imported, or logged.
        let again = (changed - first.changed).saturating_sub(rows.saturating_sub(first.rows));
        let most = |times: u64| first.rows.saturating_mul(times).saturating_add(BESIDES);
        again.min(walked - first.walked) > most(OFTEN) || again > most(OFTEN * COST)
    }
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

    /// A function does not say what it goes over. One whose batches move their rows ahead of its
    /// cursor shows in that it has changed far more rows than there are. Asked between batches,
    /// without the lock, and each time after twice as many.
    pub(super) fn refuse_chase(&mut self) -> Result<()> {
        let is_function = !matches!(self.backfill.work, Work::Update(_));
        if !is_function || !self.tally.is_due() {
            return Ok(());
        }
        let count = || table::count_rows(self.job.conn).map_err(Error::sqlite("counting rows"));
        let counted = self.job.patience.retry(count)?;
        let rows = counted.max(self.done.progress.total.unwrap_or_default());
        if !self.tally.is_too_much(rows) {
            return Ok(());
        }
        let what = format!(
            "does not end: it has changed {} rows, and there are {rows}",
            self.tally.changed
        );
        Err(self.failed(&what, None).advise(
            "its batches must not change the column that its cursor goes by, nor add rows ahead of \
             it; where this much is meant, say with `total` how many there are",
        ))
    }

    pub(super) fn stays(&self, at: &Value) -> Error {
        let what = format!("does not advance: its cursor stays at {}", shown(at.into()));
        self.failed(&what, None).advise(CIRCLES)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    /// Works batch after batch, and returns after how many rows changed it is refused.
    fn refused(batch: (u64, u64), start: u64, growth: u64, total: u64) -> Option<u64> {
        let (mut tally, mut rows) = (Tally::default(), start);
        while tally.changed < 15_000_000 {
            tally.add(batch.0, batch.1);
            rows += growth;
            if tally.is_due() && tally.is_too_much(rows.max(total)) {
                return Some(tally.changed);
            }
        }
        None
    }

    #[test]
    fn work_without_end_is_told_from_much_work() {
        // (rows gone over, rows changed) in each batch, rows at first, rows added by each, total.
        let cases = [
            // A row at a time, for ever; also where a trigger logs each.
            ((1, 1), 1_000, 0, 0, Some(200_000)),
            ((1, 2), 1_000, 1, 0, Some(400_000)),
            ((1, 1), 1_000_000, 0, 0, Some(12_800_000)),
            // Of how many rows a call has it its own way.
            ((1, 1_000), 1_000, 0, 0, Some(1_600_000)),
            // An import, also where a trigger logs each.
            ((1_000, 1_000), 0, 1_000, 0, None),
            ((1_000, 2_000), 0, 2_000, 0, None),
            // A list that is longer than the table that it changes, and one that says how long.
            ((1, 1), 3, 0, 0, Some(200_000)),
            ((1, 1), 3, 0, 15_000_000, None),
        ];
        for (batch, start, growth, total, expected) in cases {
            assert_eq!(
                refused(batch, start, growth, total),
                expected,
                "{batch:?} {start} {growth}"
            );
        }
    }
}
