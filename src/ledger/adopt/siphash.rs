//! SipHash-1-3 with a key of zeros, 64 bits: what refinery keeps. The standard library's hasher
//! happens to be the same today, and is documented to change.

/// The hash of bytes, fed in any number of pieces.
pub(super) struct SipHasher13 {
    v: [u64; 4],
    tail: u64,
    length: u64,
}

impl SipHasher13 {
    pub(super) fn new() -> Self {
        // The initial state of <https://www.aumasson.jp/siphash/siphash.pdf>, for the key 0, 0.
        let v = [
            0x736f_6d65_7073_6575,
            0x646f_7261_6e64_6f6d,
            0x6c79_6765_6e65_7261,
            0x7465_6462_7974_6573,
        ];
        SipHasher13 { v, tail: 0, length: 0 }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.tail |= u64::from(byte) << (8 * (self.length % 8));
            self.length = self.length.wrapping_add(1);
            if self.length.is_multiple_of(8) {
                let word = std::mem::take(&mut self.tail);
                self.compress(word);
            }
        }
    }

    pub(super) fn finish(mut self) -> u64 {
        let last = self.tail | (self.length & 0xff) << 56;
        self.compress(last);
        let [.., v2, _] = &mut self.v;
        *v2 ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.v.iter().fold(0, |hash, word| hash ^ word)
    }

    fn compress(&mut self, word: u64) {
        let [.., v3] = &mut self.v;
        *v3 ^= word;
        self.round();
        let [v0, ..] = &mut self.v;
        *v0 ^= word;
    }

    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.v;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.v = [v0, v1, v2, v3];
    }
}
