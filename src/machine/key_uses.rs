//! How many values the keys of the keyring encrypted: counted where entries are applied, so it costs no entry of its own, is alike on
//! every node, and survives restarts and changes of the active node.
//!
//! What is counted is what this cluster encrypted: rows that a secondary receives were encrypted and counted by its primary.
//! Keyless all the same: whoever encrypts says how many values, and under which number; nothing is opened to count it.

/// The number of a key of the keyring; the first is 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KeyTerm(pub u32);

/// Values encrypted under one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyUse {
    /// The key.
    pub term: KeyTerm,
    /// How many values.
    pub values: u64,
}

/// How many keys are counted at a time. One would do, were there not entries on their way that an earlier key encrypted, and clusters
/// that follow a primary whose newest key has a lower number than their own had.
const KEYS: usize = 4;

/// The counts of the keys that were used last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyUses {
    /// The key that came last is last; term zero is no key.
    recent: [KeyUse; KEYS],
}

impl KeyUses {
    /// Length of the stored bytes.
    pub const BYTES: usize = KEYS * 12;

    /// How many values the key of `term` encrypted.
    pub fn of(&self, term: KeyTerm) -> u64 {
        self.recent.iter().find(|counted| counted.term == term).map_or(0, |counted| counted.values)
    }

    /// Counts `used` as well. A count never goes down; the key that came first is forgotten for a new one.
    #[must_use]
    pub fn and(mut self, used: KeyUse) -> Self {
        if used.values == 0 || used.term == KeyTerm(0) {
            return self;
        }
        match self.recent.iter_mut().find(|counted| counted.term == used.term) {
            Some(counted) => counted.values = counted.values.saturating_add(used.values),
            None => {
                self.recent.rotate_left(1);
                self.recent[KEYS - 1] = used;
            }
        }
        self
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.recent.iter().flat_map(|counted| counted.term.0.to_be_bytes().into_iter().chain(counted.values.to_be_bytes())).collect()
    }

    /// Reads what [`Self::encode`] wrote; `None` if the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let mut uses = Self::default();
        for (counted, stored) in uses.recent.iter_mut().zip(bytes.chunks_exact(12)) {
            let (term, values) = stored.split_first_chunk::<4>()?;
            *counted = KeyUse { term: KeyTerm(u32::from_be_bytes(*term)), values: u64::from_be_bytes(values.try_into().ok()?) };
        }
        Some(uses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(of: &[(u32, u64)]) -> KeyUses {
        of.iter().fold(KeyUses::default(), |uses, (term, values)| uses.and(KeyUse { term: KeyTerm(*term), values: *values }))
    }

    #[track_caller]
    fn check(of: &[(u32, u64)], term: u32, expected: u64) {
        let uses = uses(of);
        assert_eq!(uses.of(KeyTerm(term)), expected);
        assert_eq!(KeyUses::decode(&uses.encode()), Some(uses));
    }

    #[test]
    fn each_key_has_a_count_that_only_grows() {
        check(&[], 1, 0);
        check(&[(1, 2), (1, 3)], 1, 5);
        check(&[(1, 2), (2, 3)], 2, 3);
        // An entry that the key of before encrypted comes late.
        check(&[(1, 2), (2, 3), (1, 1)], 2, 3);
        check(&[(1, 2), (2, 3), (1, 1)], 1, 3);
        check(&[(1, 0), (0, 7)], 0, 0);
    }

    #[test]
    fn the_key_that_came_first_is_forgotten_whatever_its_number() {
        check(&[(5, 1), (6, 1), (7, 1), (8, 1), (2, 9)], 5, 0);
        check(&[(5, 1), (6, 1), (7, 1), (8, 1), (2, 9)], 2, 9);
        check(&[(5, 1), (6, 1), (7, 1), (8, 1), (2, 9), (3, 1), (2, 1)], 2, 10);
    }

    #[test]
    fn bytes_of_another_length_are_no_counts() {
        assert_eq!(KeyUses::decode(&[0; KeyUses::BYTES - 1]), None);
        assert_eq!(KeyUses::decode(&[]), None);
    }
}
