//! Tables, in which a key is found without a look at every other: a hostile file may have as many as
//! fit into it.

use super::{Key, Node};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// How many keys are looked through before there is an index of them. An honest table has fewer.
const FEW: usize = 24;

/// Keys with values, in the order of the source; no key stands twice.
#[derive(Debug, Clone)]
pub(crate) struct Table<'t> {
    entries: Vec<(Key<'t>, Node<'t>)>,
    /// Where the keys stand, once there are more than a few.
    index: Option<Box<Index>>,
    pub(super) made: Made,
}

/// How a table came to be, which says what may still be added to it (TOML 1.1, "Table").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// By the header of a table in it.
    Implied,
    /// By a header of its own.
    Header,
    /// By a dotted key.
    Dotted,
    /// Between braces.
    Inline,
}

#[derive(Debug, Clone, Default)]
struct Index {
    hasher: DefaultHashBuilder,
    /// Positions, with the hash of the key.
    places: HashTable<(u64, usize)>,
}

impl PartialEq for Table<'_> {
    fn eq(&self, other: &Self) -> bool {
        let Self { entries, index: _, made } = self;
        *entries == other.entries && *made == other.made
    }
}

impl<'t> Table<'t> {
    pub(super) fn new(made: Made) -> Self {
        Self { entries: Vec::new(), index: None, made }
    }

    /// The entries, in the order of the source.
    pub(crate) fn entries(&self) -> &[(Key<'t>, Node<'t>)] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<(Key<'t>, Node<'t>)> {
        self.entries
    }

    /// Takes all entries out, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.index = None;
    }

    /// The places and values of all entries.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = (&mut usize, &mut Node<'t>)> {
        self.entries.iter_mut().map(|(key, node)| (&mut key.at, node))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'t>> {
        Some(&self.entries.get(self.position(name)?)?.1)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node<'t>> {
        let place = self.position(name)?;
        self.entries.get_mut(place).map(|(_, node)| node)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Adds a key that is not there yet, and gives its value.
    pub(super) fn push(&mut self, key: Key<'t>, node: Node<'t>) -> &mut Node<'t> {
        let at = self.entries.len();
        self.entries.push((key, node));
        if at >= FEW {
            let known = self.index.is_some();
            let index = self.index.get_or_insert_default();
            for at in if known { at } else { 0 }..=at {
                index.add(&self.entries, at);
            }
        }
        &mut self.entries[at].1
    }

    /// Calls a key something else, which is not there yet.
    pub(super) fn rename(&mut self, name: &str, new: String) {
        let Some(at) = self.position(name) else { return };
        if let Some(index) = &mut self.index {
            index.remove(name, at);
        }
        self.entries[at].0.name = new.into();
        if let Some(index) = &mut self.index {
            index.add(&self.entries, at);
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|(key, _)| key.name == name),
            Some(index) => index.find(&self.entries, name),
        }
    }
}

impl Index {
    fn find(&self, entries: &[(Key<'_>, Node<'_>)], name: &str) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        let is = |at: usize| entries.get(at).is_some_and(|(key, _)| key.name == name);
        self.places.find(hash, |(known, at)| *known == hash && is(*at)).map(|(_, at)| *at)
    }

    /// Adds the key that stands there, unless the same one stands before.
    fn add(&mut self, entries: &[(Key<'_>, Node<'_>)], at: usize) {
        let Some((Key { name, .. }, _)) = entries.get(at) else { return };
        if self.find(entries, name).is_none() {
            let hash = self.hasher.hash_one(&**name);
            self.places.insert_unique(hash, (hash, at), |(hash, _)| *hash);
        }
    }

    fn remove(&mut self, name: &str, at: usize) {
        let hash = self.hasher.hash_one(name);
        if let Ok(known) = self.places.find_entry(hash, |(_, place)| *place == at) {
            known.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    #[test]
    fn a_key_is_found_among_few_and_among_many() {
        let mut table = Table::new(Made::Inline);
        for number in 0..3 * FEW {
            let name = format!("key-{number}");
            assert!(!table.contains(&name), "{name}");
            let node = Node { at: number, value: Value::Boolean(true) };
            table.push(Key { at: number, name: name.into() }, node);
            assert!(table.contains("key-0") && !table.contains("key"));
        }
        table.rename("key-7", "seven".to_owned());
        assert_eq!(table.get("seven").map(|node| node.at), Some(7));
        assert_eq!(table.get("key-7"), None);
        assert_eq!(table.get("key-70").map(|node| node.at), Some(70));
    }
}
