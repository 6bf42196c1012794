//! The CRC-32 of Ethernet and zip, over a text's lines without their ends: what Flyway keeps.

/// The checksum of a text, its line ends and a byte order mark left out, as the signed number that
/// Java makes of it.
pub(super) fn of_lines(text: &str) -> i32 {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let bytes = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let crc = bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    });
    (!crc).cast_signed()
}
