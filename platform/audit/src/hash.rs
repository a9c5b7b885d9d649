//! SHA-256 as RFC 6962 uses it: leaves, and the root of a tree that grows at its end.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// A SHA-256 hash; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first record of a file names as the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of these parts, one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        match hex::decode_to_slice(text.as_bytes(), &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(serde::de::Error::custom("expected 64 lower-case hexadecimal digits")),
        }
    }
}

/// The hash of one leaf (RFC 6962, section 2.1): `SHA-256(0x00 ‖ data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[0], data])
}

/// A Merkle tree of RFC 6962 of which only what its root needs is kept: one hash for each
/// complete subtree, so about as many as the size has bits.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Tree {
    /// Adds a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one of the size is a complete subtree as large as the one at hand.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(left, hash);
            }
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves; for none, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.subtrees.iter().rev();
        match from_the_right.next() {
            None => Hash::of(&[]),
            Some(last) => from_the_right.fold(*last, |right, left| node_hash(*left, right)),
        }
    }
}

fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 word for word: split at the largest power of two below n.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(root_by_definition(left), root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_for_every_size() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf_hash(&[n])).collect();
        let mut tree = Tree::default();
        for size in 0..=leaves.len() {
            assert_eq!(tree.root(), root_by_definition(&leaves[..size]), "size {size}");
            assert_eq!(tree.size(), size as u64);
            if let Some(leaf) = leaves.get(size) {
                tree.push(*leaf);
            }
        }
    }

    #[test]
    fn the_vectors_of_certificate_transparency_hold() {
        // From the reference implementation's merkle_tree_test.cc.
        assert_eq!(
            Tree::default().root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let mut tree = Tree::default();
        for input in inputs {
            tree.push(leaf_hash(&hex::decode(input).unwrap()));
        }
        assert_eq!(
            tree.root().to_string(),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    #[test]
    fn a_hash_reads_back_as_it_was_written_and_nothing_else_does() {
        let hash = leaf_hash(b"x");
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&text).unwrap(), hash);
        assert!(serde_json::from_str::<Hash>(&text.to_uppercase()).is_err());
        assert!(serde_json::from_str::<Hash>("\"00\"").is_err());
    }
}
