//! Reads keys of the registry, whole or not at all: within bounds, and again where something was
//! written meanwhile.

use chaperone_policy::{RegistryKey, RegistryValue};
use std::io;
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_KEY_DELETED, ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS,
    ERROR_PATH_NOT_FOUND, ERROR_SUCCESS,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WOW64_64KEY, REG_DWORD,
    REG_EXPAND_SZ, REG_MULTI_SZ, REG_QWORD, REG_SZ, RegCloseKey, RegEnumKeyExW, RegEnumValueW,
    RegOpenKeyExW,
};

/// The longest name of a value, with its end, in UTF-16 units ("Registry element size limits").
const NAME: usize = 16_384;

/// How often a key is read until two readings agree.
const ATTEMPTS: usize = 5;

/// One of the registry's trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hive {
    /// `HKEY_LOCAL_MACHINE`, which only administrators write.
    Machine,
    /// `HKEY_CURRENT_USER`.
    User,
}

impl Hive {
    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Machine => "HKLM",
            Self::User => "HKCU",
        }
    }

    fn handle(self) -> HKEY {
        match self {
            Self::Machine => HKEY_LOCAL_MACHINE,
            Self::User => HKEY_CURRENT_USER,
        }
    }
}

/// Why a key was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it holds more than is read of one policy")]
    TooLarge,
    #[error("it was written again and again while it was read")]
    Restless,
}

/// An open key.
pub(crate) struct Open(HKEY);

// SAFETY: a key's handle may be used from any thread ("RegOpenKeyExW").
unsafe impl Send for Open {}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the handle is open and this is its only owner.
        unsafe { RegCloseKey(self.0) };
    }
}

impl Open {
    /// Opens a key for reading in the 64-bit view; `None` where there is none.
    pub(crate) fn new(hive: Hive, path: &str) -> io::Result<Option<Self>> {
        Self::below(hive.handle(), path)
    }

    fn below(parent: HKEY, path: &str) -> io::Result<Option<Self>> {
        let path: Vec<u16> = path.encode_utf16().chain([0]).collect();
        let mut key: HKEY = null_mut();
        // SAFETY: `path` ends with a zero, `key` is writable, and `parent` is open.
        let result = unsafe {
            RegOpenKeyExW(parent, path.as_ptr(), 0, KEY_READ | KEY_WOW64_64KEY, &raw mut key)
        };
        match result {
            ERROR_SUCCESS => Ok(Some(Self(key))),
            ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => Ok(None),
            code => Err(error(code)),
        }
    }

    /// The handle, which lives as long as this.
    pub(crate) fn handle(&self) -> HKEY {
        self.0
    }

    /// The name of the subkey at this position, or `None` after the last.
    fn subkey(&self, at: u32) -> io::Result<Option<String>> {
        let mut name = [0u16; 256];
        let mut length = 256;
        // SAFETY: `name` has room for `length` units, and what is not wanted may be null.
        let result = unsafe {
            RegEnumKeyExW(
                self.0,
                at,
                name.as_mut_ptr(),
                &raw mut length,
                null(),
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        match result {
            ERROR_SUCCESS => Ok(Some(lossy(name.get(..length as usize)))),
            ERROR_NO_MORE_ITEMS => Ok(None),
            code => Err(error(code)),
        }
    }

    /// The value at this position with its name, or `None` after the last. `room` is what it may
    /// take.
    fn value(
        &self,
        at: u32,
        name: &mut [u16],
        room: &mut Room,
    ) -> Result<Option<(String, RegistryValue)>, RegistryError> {
        let mut data = vec![0u8; 512];
        loop {
            let mut length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            let mut size = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let mut kind = 0;
            // SAFETY: `name` has room for `length` units and `data` for `size` bytes.
            let result = unsafe {
                RegEnumValueW(
                    self.0,
                    at,
                    name.as_mut_ptr(),
                    &raw mut length,
                    null(),
                    &raw mut kind,
                    data.as_mut_ptr(),
                    &raw mut size,
                )
            };
            let size = size as usize;
            match result {
                ERROR_SUCCESS => {
                    let name = lossy(name.get(..length as usize));
                    room.take(name.len() + size)?;
                    return Ok(Some((name, decode(kind, data.get(..size).unwrap_or(&data)))));
                }
                ERROR_NO_MORE_ITEMS => return Ok(None),
                ERROR_MORE_DATA if size > room.bytes => return Err(RegistryError::TooLarge),
                // It may grow once more before it is read.
                ERROR_MORE_DATA => data.resize(size.max(data.len() * 2), 0),
                code => return Err(error(code).into()),
            }
        }
    }

    fn read(&self, depth: usize, room: &mut Room) -> Result<RegistryKey, RegistryError> {
        if depth > RegistryKey::DEPTH {
            return Err(RegistryError::TooLarge);
        }
        let mut key = RegistryKey::default();
        let mut name = vec![0; NAME];
        for at in 0.. {
            let Some(value) = self.value(at, &mut name, room)? else { break };
            key.values.push(value);
        }
        for at in 0.. {
            let Some(name) = self.subkey(at)? else { break };
            room.take(name.len())?;
            let open = Self::below(self.0, &name)?.ok_or_else(|| error(ERROR_KEY_DELETED))?;
            key.keys.push((name, open.read(depth + 1, room)?));
        }
        Ok(key)
    }
}

/// What may still be read of one policy.
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    /// Takes one value or key of this size.
    fn take(&mut self, bytes: usize) -> Result<(), RegistryError> {
        let take = |left: usize, much| left.checked_sub(much).ok_or(RegistryError::TooLarge);
        self.entries = take(self.entries, 1)?;
        self.bytes = take(self.bytes, bytes)?;
        Ok(())
    }
}

/// Reads a key with everything below it; `None` where there is none. What stands at a position
/// moves while others write, so only what is read twice was ever there.
pub(crate) fn read(hive: Hive, path: &str) -> Result<Option<RegistryKey>, RegistryError> {
    let mut before = None;
    for _ in 0..ATTEMPTS {
        match read_once(hive, path) {
            Ok(read) if before.as_ref() == Some(&read) => return Ok(read),
            Ok(read) => before = Some(read),
            Err(RegistryError::Io(io)) if io.raw_os_error() == raw(ERROR_KEY_DELETED) => {
                before = None;
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(RegistryError::Restless)
}

fn read_once(hive: Hive, path: &str) -> Result<Option<RegistryKey>, RegistryError> {
    let Some(open) = Open::new(hive, path)? else { return Ok(None) };
    let mut room = Room { entries: RegistryKey::ENTRIES, bytes: RegistryKey::BYTES };
    open.read(0, &mut room).map(Some)
}

/// A value by its type and bytes ("Registry value types").
fn decode(kind: u32, data: &[u8]) -> RegistryValue {
    let read = match kind {
        REG_SZ => utf16(data).and_then(one).map(RegistryValue::Text),
        REG_EXPAND_SZ => utf16(data).and_then(one).map(RegistryValue::Expand),
        // It ends with an empty text; one in the middle would hide what follows.
        REG_MULTI_SZ => utf16(data).map(|text| {
            let items = text.split('\0').filter(|item| !item.is_empty());
            RegistryValue::List(items.map(str::to_owned).collect())
        }),
        REG_DWORD => {
            let number = data.try_into().map(u32::from_le_bytes);
            number.ok().map(|number| RegistryValue::Number(number.into()))
        }
        REG_QWORD => data.try_into().map(u64::from_le_bytes).ok().map(RegistryValue::Number),
        _ => None,
    };
    read.unwrap_or_else(|| RegistryValue::Other { kind, data: data.to_vec() })
}

fn utf16(data: &[u8]) -> Option<String> {
    let (pairs, []) = data.as_chunks::<2>() else { return None };
    let units: Vec<u16> = pairs.iter().copied().map(u16::from_le_bytes).collect();
    String::from_utf16(&units).ok()
}

/// One text, without the zeros at its end. What follows a zero within it would be hidden from
/// whoever looks at it with the system's tools.
fn one(text: String) -> Option<String> {
    let text = text.trim_end_matches('\0');
    (!text.contains('\0')).then(|| text.to_owned())
}

/// A name; one that is no text is unknown all the same.
fn lossy(units: Option<&[u16]>) -> String {
    String::from_utf16_lossy(units.unwrap_or_default())
}

fn error(code: u32) -> io::Error {
    io::Error::from_raw_os_error(raw(code).unwrap_or_default())
}

fn raw(code: u32) -> Option<i32> {
    i32::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_value_is_what_its_type_says_or_nothing_that_can_be_read() {
        let text = |text: &str| RegistryValue::Text(text.into());
        let list = |items: &[&str]| {
            RegistryValue::List(items.iter().map(|item| (*item).to_owned()).collect())
        };
        let table = [
            (REG_SZ, units("none\0"), Some(text("none"))),
            (REG_SZ, units("none"), Some(text("none"))),
            (REG_SZ, units("none\0\0"), Some(text("none"))),
            (REG_SZ, Vec::new(), Some(text(""))),
            (REG_SZ, units("a\0b\0"), None),
            (REG_SZ, vec![b'a'], None),
            (REG_SZ, vec![0x00, 0xd8], None),
            (REG_EXPAND_SZ, units("%X%\0"), Some(RegistryValue::Expand("%X%".into()))),
            (REG_MULTI_SZ, units("a\0b\0\0"), Some(list(&["a", "b"]))),
            (REG_MULTI_SZ, units("a\0\0b\0\0"), Some(list(&["a", "b"]))),
            (REG_MULTI_SZ, units("a"), Some(list(&["a"]))),
            (REG_MULTI_SZ, Vec::new(), Some(list(&[]))),
            (REG_MULTI_SZ, vec![1, 2, 3], None),
            (REG_DWORD, vec![1, 1, 0, 0], Some(RegistryValue::Number(257))),
            (REG_DWORD, vec![1], None),
            (REG_QWORD, vec![0, 0, 0, 0, 1, 0, 0, 0], Some(RegistryValue::Number(1 << 32))),
            (REG_QWORD, vec![1, 0, 0, 0], None),
            (3, vec![1, 0, 0, 0], None),
            (5, vec![0, 0, 0, 1], None),
            (4711, Vec::new(), None),
        ];
        for (kind, data, expected) in table {
            let other = RegistryValue::Other { kind, data: data.clone() };
            assert_eq!(decode(kind, &data), expected.unwrap_or(other), "{kind}: {data:?}");
        }
    }
}
