//! A fast hash, which depends on nothing but what is fed to it: it tells what happened to change. It
//! is no defence against somebody who means harm and chooses the bytes.

use std::hash::Hasher;

/// 64 bits over everything that was fed to it, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

/// Odd, and without a pattern.
const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Fingerprint(KEYS[0])
    }

    /// Takes in two numbers. Both halves of a product depend on every bit of both factors. They are
    /// added themselves, so that a factor of zero does not wipe out what came before.
    pub(crate) fn fold(&mut self, one: u64, other: u64) {
        let (one, other) = (one ^ KEYS[1], other ^ self.0);
        let product = u128::from(one) * u128::from(other);
        self.0 = low(product) ^ high(product) ^ one ^ other.rotate_left(32);
    }
}

fn low(wide: u128) -> u64 {
    wide as u64
}

fn high(wide: u128) -> u64 {
    (wide >> 64) as u64
}

impl Hasher for Fingerprint {
    /// The number of bytes counts as well, so that what is fed in two pieces is not what is fed in
    /// one.
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<16>();
        for chunk in chunks {
            let chunk = u128::from_le_bytes(*chunk);
            self.fold(low(chunk), high(chunk));
        }
        let mut last = [0; 16];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let last = u128::from_le_bytes(last);
        self.fold(low(last), high(last));
        self.fold(bytes.len() as u64, KEYS[1]);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.fold(number, KEYS[2]);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.fold(KEYS[2], KEYS[0]);
        last.0
    }
}
