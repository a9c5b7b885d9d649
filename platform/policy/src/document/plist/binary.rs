//! The binary form of property lists, version 00, as CFBinaryPList.c of Apple's CF describes it.
//!
//! Objects refer to each other by number, so a few bytes can stand for a circle or for more values
//! than any memory holds: depth and values are counted as they are reached, not as they are stored.

use super::super::SyntaxError;
use super::Budget;
use crate::Property;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;

type Result<T> = std::result::Result<T, SyntaxError>;

const TRAILER: usize = 32;

/// 2001-01-01T00:00:00Z, from which dates count, in seconds of Unix time.
const EPOCH: i64 = 978_307_200;

/// Reads a binary property list. The place of an error is an offset in it.
pub(super) fn parse(bytes: &[u8], budget: &mut Budget) -> Result<Property> {
    if !bytes.starts_with(b"bplist00") {
        return Err(error(0, "a binary property list of a version other than 00"));
    }
    let Some(end) = bytes.len().checked_sub(TRAILER).filter(|end| *end >= b"bplist00".len()) else {
        return Err(error(bytes.len(), "the end of the file before its trailer"));
    };
    // Five unused bytes, the sort version, two sizes of numbers, and three numbers.
    let [.., offset_size, ref_size] = *field::<8>(bytes, end)?;
    let number = |at| field::<8>(bytes, at).map(|bytes| u64::from_be_bytes(*bytes));
    let (count, top, table) = (number(end + 8)?, number(end + 16)?, number(end + 24)?);
    let (Ok(count), Ok(top), Ok(table)) =
        (usize::try_from(count), usize::try_from(top), usize::try_from(table))
    else {
        return Err(error(end, "a trailer that points beyond the file"));
    };
    let (offset_size, ref_size) = (usize::from(offset_size), usize::from(ref_size));
    if !(1..=8).contains(&offset_size) || !(1..=8).contains(&ref_size) {
        return Err(error(end, "a trailer whose numbers have no size from 1 to 8"));
    }
    let offsets = count
        .checked_mul(offset_size)
        .and_then(|size| bytes.get(..end)?.get(table..table.checked_add(size)?))
        .ok_or_else(|| error(end, "a table of offsets that does not lie in the file"))?;
    Objects { bytes: &bytes[..table], offsets, offset_size, ref_size }.read(top, end, 1, budget)
}

struct Objects<'b> {
    /// What comes before the table of offsets, where every object lies.
    bytes: &'b [u8],
    offsets: &'b [u8],
    offset_size: usize,
    ref_size: usize,
}

impl<'b> Objects<'b> {
    /// Reads the object of this number. `from` is the offset that refers to it.
    fn read(
        &self,
        object: usize,
        from: usize,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Property> {
        let (at, marker) = self.find(object, from)?;
        budget.value(depth).map_err(|message| error(at, message))?;
        let (kind, low) = (marker >> 4, marker & 0x0f);
        let unknown = || error(at, format!("an object of the unknown type {marker:#04x}"));
        Ok(match (kind, low) {
            (0x0, 0x8) => Property::Boolean(false),
            (0x0, 0x9) => Property::Boolean(true),
            (0x1, 0..=4) => {
                let bytes = self.take(at + 1, 1 << low)?;
                let number =
                    bytes.iter().fold(0i128, |number, byte| number << 8 | i128::from(*byte));
                // Up to four bytes have no sign; eight have one, and so have sixteen.
                Property::Integer(if low == 3 { i128::from(number as i64) } else { number })
            }
            (0x2, 2) => Property::Real(f32::from_be_bytes(*field(self.bytes, at + 1)?).into()),
            (0x2, 3) => Property::Real(f64::from_be_bytes(*field(self.bytes, at + 1)?)),
            (0x3, 3) => date(f64::from_be_bytes(*field(self.bytes, at + 1)?)),
            (0x4, _) => {
                let (start, length) = self.length(at, low)?;
                budget.bytes(length).map_err(|message| error(at, message))?;
                Property::Data(self.take(start, length)?.to_vec())
            }
            (0x5 | 0x6, _) => Property::Text(self.text(at, marker, budget)?),
            (0x8, 0..=7) => Property::Other("a UID".to_owned()),
            (0xa, _) => {
                let (start, length) = self.length(at, low)?;
                let mut items = Vec::new();
                for refer in self.references(start, length)? {
                    items.push(self.read(refer, at, depth + 1, budget)?);
                }
                Property::Array(items)
            }
            (0xd, _) => {
                let (start, length) = self.length(at, low)?;
                let values = start.saturating_add(length.saturating_mul(self.ref_size));
                let keys = self.references(start, length)?;
                let mut entries = Vec::new();
                let mut names = HashSet::new();
                for (key, value) in keys.zip(self.references(values, length)?) {
                    let (key_at, marker) = self.find(key, at)?;
                    if !matches!(marker >> 4, 0x5 | 0x6) {
                        return Err(error(key_at, "a key that is no string"));
                    }
                    let name = self.text(key_at, marker, budget)?;
                    if !names.insert(name.clone()) {
                        return Err(error(at, format!("the key {name:?} a second time")));
                    }
                    entries.push((name, self.read(value, at, depth + 1, budget)?));
                }
                Property::Dictionary(entries)
            }
            _ => return Err(unknown()),
        })
    }

    /// Where an object lies, and its first byte.
    fn find(&self, object: usize, from: usize) -> Result<(usize, u8)> {
        let nowhere = || error(from, format!("a reference to object {object}, which is not there"));
        let start = object.checked_mul(self.offset_size).ok_or_else(nowhere)?;
        let end = start.checked_add(self.offset_size).ok_or_else(nowhere)?;
        let at = whole(self.offsets.get(start..end).ok_or_else(nowhere)?).ok_or_else(nowhere)?;
        let marker = self.bytes.get(at).filter(|_| at >= b"bplist00".len()).ok_or_else(nowhere)?;
        Ok((at, *marker))
    }

    fn take(&self, at: usize, length: usize) -> Result<&'b [u8]> {
        at.checked_add(length)
            .and_then(|end| self.bytes.get(at..end))
            .ok_or_else(|| error(at, "an object that is longer than the file"))
    }

    /// Where an object's content begins, and how long its marker says that it is.
    fn length(&self, at: usize, low: u8) -> Result<(usize, usize)> {
        if low != 0x0f {
            return Ok((at + 1, low.into()));
        }
        // An integer object follows: its size is two to the power of its low bits.
        match self.take(at + 1, 1)? {
            [size @ 0x10..=0x13] => {
                let size = 1usize << (size & 0x0f);
                let length = whole(self.take(at + 2, size)?)
                    .ok_or_else(|| error(at, "an object that is longer than the file"))?;
                Ok((at + 2 + size, length))
            }
            _ => Err(error(at + 1, "a length that is no integer")),
        }
    }

    /// The numbers of the objects that one refers to.
    fn references(&self, start: usize, count: usize) -> Result<impl Iterator<Item = usize> + 'b> {
        let bytes = self.take(start, count.saturating_mul(self.ref_size))?;
        // A number beyond every object is not there either.
        Ok(bytes.chunks_exact(self.ref_size).map(|bytes| whole(bytes).unwrap_or(usize::MAX)))
    }

    /// A string of either kind, whose marker has been read.
    fn text(&self, at: usize, marker: u8, budget: &mut Budget) -> Result<String> {
        let (start, length) = self.length(at, marker & 0x0f)?;
        let wide = marker >> 4 == 0x6;
        let bytes = self.take(start, if wide { length.saturating_mul(2) } else { length })?;
        budget.bytes(bytes.len()).map_err(|message| error(at, message))?;
        let text = if wide {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<std::result::Result<String, _>>().ok()
        } else {
            bytes.is_ascii().then(|| bytes.iter().copied().map(char::from).collect())
        };
        text.ok_or_else(|| error(at, "a string that is not in its encoding"))
    }
}

/// Bytes of a known number.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<&[u8; N]> {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(|| error(at, "an object that is longer than the file"))
}

/// A number of up to eight bytes, the greatest first.
fn whole(bytes: &[u8]) -> Option<usize> {
    let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

fn date(seconds: f64) -> Property {
    let time = SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|since| Timestamp::from_second(EPOCH).ok()?.checked_add(since).ok());
    time.map_or_else(|| Property::Other("a date beyond every calendar".to_owned()), Property::Date)
}

fn error(at: usize, message: impl Into<String>) -> SyntaxError {
    SyntaxError { at, message: message.into() }
}
