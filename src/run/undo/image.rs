//! A row as bytes, value for value as SQLite holds it. Bytes only: this file never sees a
//! connection.

use rusqlite::types::ValueRef;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Each value is its type's byte and then: nothing for NULL, a zigzag varint for an INTEGER, the
/// eight bytes of a REAL, length and bytes of a TEXT or BLOB. Two rows are the same if and only if
/// their images are.
pub(super) fn encode<'v>(values: impl IntoIterator<Item = ValueRef<'v>>) -> Vec<u8> {
    let mut image = Vec::new();
    for value in values {
        match value {
            ValueRef::Null => image.push(NULL),
            ValueRef::Integer(number) => {
                image.push(INTEGER);
                put_varint(&mut image, zigzag(number));
            }
            ValueRef::Real(number) => {
                image.push(REAL);
                image.extend(number.to_bits().to_le_bytes());
            }
            ValueRef::Text(bytes) => put_bytes(&mut image, TEXT, bytes),
            ValueRef::Blob(bytes) => put_bytes(&mut image, BLOB, bytes),
        }
    }
    image
}

/// The values of an image; `None` where the bytes are none.
pub(super) fn decode(image: &[u8]) -> Option<Vec<ValueRef<'_>>> {
    let mut rest = image;
    let mut values = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        rest = after;
        values.push(match *tag {
            NULL => ValueRef::Null,
            INTEGER => ValueRef::Integer(unzigzag(take_varint(&mut rest)?)),
            REAL => {
                let (bytes, after) = rest.split_first_chunk::<8>()?;
                rest = after;
                ValueRef::Real(f64::from_bits(u64::from_le_bytes(*bytes)))
            }
            TEXT => ValueRef::Text(take_bytes(&mut rest)?),
            BLOB => ValueRef::Blob(take_bytes(&mut rest)?),
            _ => return None,
        });
    }
    Some(values)
}

fn put_bytes(image: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    image.push(tag);
    put_varint(image, bytes.len() as u64);
    image.extend(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// Seven bits at a time, the lowest first; the eighth says that more follow.
fn put_varint(image: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        image.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    image.push(number as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign become small ones without.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_bit_for_bit() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(0),
            ValueRef::Integer(-1),
            ValueRef::Integer(i64::MAX),
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Real(-0.0),
            ValueRef::Real(5e-324),
            ValueRef::Text(b""),
            ValueRef::Text(b"a\0b\xff"),
            ValueRef::Blob(&[0; 300]),
        ];
        let image = encode(values);
        assert_eq!(decode(&image).map(encode), Some(image.clone()));
        assert_eq!(decode(&image).map(|values| values.len()), Some(values.len()));
        assert_ne!(encode([ValueRef::Real(0.0)]), encode([ValueRef::Real(-0.0)]));
        assert_ne!(encode([ValueRef::Text(b"1")]), encode([ValueRef::Integer(1)]));
    }

    #[test]
    fn bytes_that_are_no_image_are_told() {
        let image = encode([ValueRef::Integer(300), ValueRef::Text(b"text"), ValueRef::Real(1.5)]);
        let is_none = |cut: &usize| image.get(..*cut).and_then(decode).is_none();
        let broken = (1..image.len()).filter(is_none).count();
        assert_eq!(broken, image.len() - 1 - 2, "all but the two ends of a value");
        assert!(decode(&[9]).is_none());
        assert!(
            decode(&[TEXT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_none()
        );
    }
}
