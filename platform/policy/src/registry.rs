//! What keys of the Windows registry hold, before anybody asks what it means.

/// A key of the Windows registry with everything below it. Names are as they are written; capitals
/// make no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryKey {
    /// Its values by name; the name of the default value is empty.
    pub values: Vec<(String, RegistryValue)>,
    /// Its subkeys by name.
    pub keys: Vec<(String, Self)>,
}

/// A value of the registry ("Registry value types", Windows reference).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryValue {
    /// `REG_SZ`
    Text(String),
    /// `REG_EXPAND_SZ`, not expanded.
    Expand(String),
    /// `REG_MULTI_SZ`
    List(Vec<String>),
    /// `REG_DWORD` or `REG_QWORD`
    Number(u64),
    /// Any other type, and what is not what its type says.
    Other {
        /// The type's number, such as 3 for `REG_BINARY`.
        kind: u32,
        /// The value's bytes.
        data: Vec<u8>,
    },
}

impl RegistryKey {
    /// The values and keys that are read of one policy, at most. The largest honest one has a
    /// quarter of them.
    pub const ENTRIES: usize = 100_000;
    /// The bytes of all its names and values, at most.
    pub const BYTES: usize = 4 << 20;
    /// The keys below each other, at most. A policy needs 6.
    pub const DEPTH: usize = 16;

    /// Bytes that are the same for the same values and different for any others, whatever their
    /// order and the capitals of their names: what a digest of the key is taken over.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { values, keys } = self;
        count(out, values.len());
        for (name, value) in sorted(values) {
            bytes(out, name.as_bytes());
            value.write(out);
        }
        count(out, keys.len());
        for (name, key) in sorted(keys) {
            bytes(out, name.as_bytes());
            key.write(out);
        }
    }

    /// Why it is more than is read of one policy; `None` where it is not.
    pub(crate) fn excess(&self) -> Option<String> {
        let (mut entries, mut size) = (0, 0);
        let mut pending = vec![(self, 0)];
        while let Some((Self { values, keys }, depth)) = pending.pop() {
            if depth > Self::DEPTH {
                return Some(format!("keys stand more than {} deep in it", Self::DEPTH));
            }
            entries += values.len() + keys.len();
            size += values.iter().map(|(name, value)| name.len() + value.size()).sum::<usize>();
            size += keys.iter().map(|(name, _)| name.len()).sum::<usize>();
            if entries > Self::ENTRIES {
                return Some(format!("it holds more than {} values and keys", Self::ENTRIES));
            }
            if size > Self::BYTES {
                return Some(format!("it is larger than {} MiB", Self::BYTES >> 20));
            }
            pending.extend(keys.iter().map(|(_, key)| (key, depth + 1)));
        }
        None
    }
}

impl RegistryValue {
    /// Its type's number and what it holds.
    fn write(&self, out: &mut Vec<u8>) {
        let kind = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_be_bytes());
        match self {
            Self::Text(text) => {
                kind(out, 1);
                bytes(out, text.as_bytes());
            }
            Self::Expand(text) => {
                kind(out, 2);
                bytes(out, text.as_bytes());
            }
            Self::Number(number) => {
                kind(out, 4);
                bytes(out, &number.to_be_bytes());
            }
            Self::List(items) => {
                kind(out, 7);
                count(out, items.len());
                items.iter().for_each(|item| bytes(out, item.as_bytes()));
            }
            Self::Other { kind: own, data } => {
                // Apart from the same type's readable values.
                kind(out, u32::MAX);
                kind(out, *own);
                bytes(out, data);
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Expand(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.len() + 1).sum(),
            Self::Number(_) => size_of::<u64>(),
            Self::Other { data, .. } => data.len(),
        }
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        let (name, length) = match self {
            Self::Text(_) => return "a REG_SZ".to_owned(),
            Self::Expand(_) => return "a REG_EXPAND_SZ".to_owned(),
            Self::List(_) => return "a REG_MULTI_SZ".to_owned(),
            Self::Number(number) => return format!("the number {number}"),
            Self::Other { kind, data } => (kind_name(*kind), data.len()),
        };
        let bytes = if length == 1 { "byte" } else { "bytes" };
        format!("{name} of {length} {bytes}")
    }
}

/// The types that hold neither text nor a number, and those of which a value may be damaged.
fn kind_name(kind: u32) -> String {
    let name = match kind {
        0 => "REG_NONE",
        1 => "a REG_SZ that is no text",
        2 => "a REG_EXPAND_SZ that is no text",
        3 => "REG_BINARY",
        4 => "a REG_DWORD that is no number",
        5 => "REG_DWORD_BIG_ENDIAN",
        6 => "REG_LINK",
        7 => "a REG_MULTI_SZ that is no text",
        8 => "REG_RESOURCE_LIST",
        9 => "REG_FULL_RESOURCE_DESCRIPTOR",
        10 => "REG_RESOURCE_REQUIREMENTS_LIST",
        11 => "a REG_QWORD that is no number",
        other => return format!("the unknown type {other}"),
    };
    name.to_owned()
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend((count as u64).to_be_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend(bytes);
}

/// The entries by their names in lower case.
fn sorted<T>(entries: &[(String, T)]) -> Vec<(String, &T)> {
    let mut sorted: Vec<(String, &T)> =
        entries.iter().map(|(name, entry)| (name.to_lowercase(), entry)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
}
