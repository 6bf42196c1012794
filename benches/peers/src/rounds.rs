//! Several ways to do a thing, in turn, and how long each took.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use crate::Result;

/// Does the thing once. It returns what was measured, so that what comes before and after, such as
/// making a file, is not.
pub type Way<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

/// How long one way took, round by round.
#[derive(Default)]
pub struct Times(Vec<Duration>);

/// As many rounds as are asked for, or as the environment's `ROUNDS` says, to try whether
/// everything runs.
pub fn rounds(wanted: usize) -> usize {
    let said = std::env::var("ROUNDS").ok().and_then(|said| said.parse().ok());
    said.unwrap_or(wanted)
}

/// Runs the ways in turn, each round in another order: what one leaves behind, in caches and in the
/// background, should not always meet the same. The first round is not counted.
pub fn race(rounds: usize, ways: &mut [Way<'_>]) -> Result<Vec<Times>> {
    let rounds = self::rounds(rounds);
    let mut times: Vec<Times> = ways.iter().map(|_| Times::default()).collect();
    let mut order: Vec<usize> = (0..ways.len()).collect();
    let mut dice = Dice(1);
    for round in 0..=rounds {
        dice.shuffle(&mut order);
        for &at in &order {
            let took = ways[at]()?;
            if round > 0 {
                times[at].0.push(took);
            }
        }
    }
    Ok(times)
}

/// The same throws in every run (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, self.throw() as usize % (last + 1));
        }
    }

    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}

pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let clock = Instant::now();
    let done = work()?;
    Ok((clock.elapsed(), done))
}

impl Times {
    pub fn median(&self) -> Duration {
        part(self.0.iter().copied(), 0.5)
    }

    /// The median, and the ends of the middle half.
    pub fn cell(&self) -> String {
        let [low, median, high] =
            [0.25, 0.5, 0.75].map(|at| shown(part(self.0.iter().copied(), at)));
        format!("{median} ({low} – {high})")
    }

    /// The median of the rounds' own ratios: what slows a machine down slows a whole round down.
    pub fn ratio(&self, to: &Times) -> f64 {
        let pairs = self.0.iter().zip(&to.0);
        part(pairs.map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()), 0.5)
    }
}

/// The value that this part of all is below.
fn part<T: PartialOrd + Copy>(values: impl Iterator<Item = T>, part: f64) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    values[((values.len() - 1) as f64 * part).round() as usize]
}

fn shown(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..99.95 => format!("{micros:.1} µs"),
        ..999.5 => format!("{micros:.0} µs"),
        ..9_995.0 => format!("{:.2} ms", micros / 1e3),
        ..99_950.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.0} ms", micros / 1e3),
    }
}
