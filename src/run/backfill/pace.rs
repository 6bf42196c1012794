//! How large the next batch is, by what the last ones took. Pure.

use std::time::Duration;

use crate::seed::Pace;

/// Rows, or calls, of the next batch.
#[derive(Debug)]
pub(super) struct Sizes {
    size: u32,
    most: u32,
    target: Duration,
    /// Units of the last batches and the seconds that they took.
    last: [(u32, f64); 3],
    suspects: Option<Suspects>,
}

/// After a failure: where the row that fails is to be looked for.
#[derive(Clone, Copy, Debug)]
struct Suspects {
    /// So many units that went well before it.
    sound: u32,
    /// Among so many that come after these.
    among: u32,
    /// The size to go back to.
    size: u32,
}

impl Sizes {
    pub(super) fn new(pace: &Pace) -> Self {
        let size = pace.first.min(pace.most).max(1);
        let last = [(0, 0.0); 3];
        Sizes { size, most: pace.most.max(1), target: pace.target, last, suspects: None }
    }

    pub(super) fn next(&self) -> u32 {
        match self.suspects {
            Some(Suspects { sound, .. }) if sound > 0 => sound,
            Some(Suspects { among, .. }) => (among / 2).max(1),
            None => self.size,
        }
    }

    /// A batch of so many units went well and took so long.
    pub(super) fn went_well(&mut self, units: u32, took: Duration) {
        if let Some(suspects) = &mut self.suspects {
            let left = if suspects.sound > 0 { &mut suspects.sound } else { &mut suspects.among };
            *left = left.saturating_sub(units);
            if suspects.among == 0 {
                self.passed();
            }
            return;
        }
        self.last.rotate_right(1);
        if let Some(first) = self.last.first_mut() {
            *first = (units, took.as_secs_f64());
        }
        let cost = |batches: &[(u32, f64)]| {
            let units: f64 = batches.iter().map(|(units, _)| f64::from(*units)).sum();
            let seconds: f64 = batches.iter().map(|(_, seconds)| seconds).sum();
            if units > 0.0 { seconds / units } else { 0.0 }
        };
        // The dearer of the two: a batch that takes too long keeps others waiting.
        let dearest = cost(self.last.get(..1).unwrap_or_default()).max(cost(&self.last));
        let fits = self.target.as_secs_f64() / dearest.max(1e-9);
        let twice = units.max(1).saturating_mul(2);
        let fits = if fits >= f64::from(self.most) { self.most } else { fits as u32 };
        self.size = fits.clamp(1, twice.max(1)).min(self.most);
    }

    /// One of so many units failed, so many going well before it, where that is known. Whether there
    /// is a smaller batch to try.
    pub(super) fn failed(&mut self, units: u32, before: Option<u32>) -> bool {
        if units <= 1 || before == Some(0) {
            return false;
        }
        let size = self.suspects.map_or(self.size, |suspects| suspects.size);
        let (sound, among) = before.map_or((0, units), |before| (before, 1));
        self.suspects = Some(Suspects { sound, among, size });
        true
    }

    /// The row that failed has been found and left behind.
    pub(super) fn passed(&mut self) {
        if let Some(suspects) = self.suspects.take() {
            self.size = suspects.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(first: u32, most: u32) -> Sizes {
        let target = Duration::from_millis(50);
        Sizes::new(&Pace { first, most, target, pause: None })
    }

    #[test]
    fn batches_double_until_they_take_the_time_and_shrink_when_they_take_more() {
        let mut sizes = sizes(100, 1_000_000);
        let mut seen = Vec::new();
        for _ in 0..12 {
            let size = sizes.next();
            seen.push(size);
            sizes.went_well(size, Duration::from_micros(u64::from(size) * 10));
        }
        assert_eq!(seen, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000]);
        sizes.went_well(5000, Duration::from_millis(500));
        assert_eq!(sizes.next(), 500);
    }

    #[test]
    fn no_batch_is_larger_than_told_or_smaller_than_one_row() {
        let mut sizes = sizes(100, 150);
        sizes.went_well(100, Duration::from_nanos(1));
        assert_eq!(sizes.next(), 150);
        sizes.went_well(150, Duration::from_secs(1000));
        assert_eq!(sizes.next(), 1);
    }

    /// Rows that are tried until the failing one is alone.
    #[test]
    fn a_failing_row_is_found_in_few_attempts() {
        for bad in 0..1000_u32 {
            let mut sizes = sizes(1000, 1000);
            let (mut at, mut attempts) = (0, 0);
            loop {
                attempts += 1;
                let size = sizes.next();
                if (at..at + size).contains(&bad) {
                    if !sizes.failed(size, None) {
                        break;
                    }
                } else {
                    sizes.went_well(size, Duration::from_millis(1));
                    at += size;
                }
            }
            assert_eq!(at, bad);
            assert!(attempts <= 22, "{attempts} attempts to find {bad}");
        }
    }
}
