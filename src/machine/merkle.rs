//! The hash tree over one scope of this cluster's ciphertext.
//!
//! Two clusters with equal shared rows have equal roots; where roots differ, the pages that differ name the rows to compare.
//! Leaves cover (path, ciphertext), so trees are compared without the keyring.
//!
//! A page is the sum, modulo 2^256, of the hashes of its rows: updating it takes the old row's hash away and adds the new one's,
//! whatever the order, without walking a tree (Bellare and Micciancio 1997, AdHash). That finds every accident and every lost or
//! doubled row; it is not meant to withstand someone who may choose ciphertexts *and* speak for a cluster, which mTLS keeps out.
//!
//! Invariant: a page is stored in the same write as the rows it covers, so no crash can part them.
//! Not here: when to compare (`replication::resync`), how pages travel (`cluster`).

use std::sync::LazyLock;

/// How many pages a scope's tree has. With ten million rows a page covers about 150, which is what comparing one costs.
pub const PAGES: usize = 1 << 16;

/// The number of a page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageId(pub u16);

/// The sum of a page's rows; zero for an empty page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PageSum(pub [u8; 32]);

impl PageSum {
    /// Adds a row.
    pub fn add(&mut self, item: [u8; 32]) {
        let mut carry = 0;
        for (sum, byte) in self.0.iter_mut().zip(item) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total.to_le_bytes()[0];
            carry = total >> 8;
        }
    }
    /// Takes a row away.
    pub fn subtract(&mut self, item: [u8; 32]) {
        let mut borrow = 0;
        for (sum, byte) in self.0.iter_mut().zip(item) {
            let taken = u16::from(byte) + borrow;
            let (low, under) = u16::from(*sum).overflowing_sub(taken);
            *sum = low.to_le_bytes()[0];
            borrow = u16::from(under);
        }
    }
}

/// The page that covers the row at `path`.
pub fn page_of(path: &str) -> PageId {
    let hash = blake3::hash(path.as_bytes());
    PageId(u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]))
}

/// The context of a row's hash, hashed once.
static ITEM: LazyLock<blake3::Hasher> = LazyLock::new(|| blake3::Hasher::new_derive_key("coffer merkle item v1"));

/// The hash of one row.
pub fn item_hash(path: &str, value: &[u8]) -> [u8; 32] {
    let mut hasher = ITEM.clone();
    hasher.update(&(path.len() as u64).to_be_bytes());
    hasher.update(path.as_bytes());
    hasher.update(value);
    *hasher.finalize().as_bytes()
}

/// The root over all pages, in order. Costs a hash over two MiB, so it is computed when asked for and not per write.
pub fn root_of<'a>(pages: impl Iterator<Item = &'a PageSum>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("coffer merkle root v1");
    for page in pages {
        hasher.update(&page.0);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_does_not_depend_on_the_order_of_its_rows() {
        let rows: Vec<[u8; 32]> = (0..20).map(|n| item_hash(&format!("k{n}"), b"v")).collect();
        let mut forward = PageSum::default();
        rows.iter().for_each(|row| forward.add(*row));
        let mut backward = PageSum::default();
        rows.iter().rev().for_each(|row| backward.add(*row));
        assert_eq!(forward, backward);
        rows.iter().for_each(|row| forward.subtract(*row));
        assert_eq!(forward, PageSum::default());
    }

    #[test]
    fn a_row_is_hashed_with_its_path_and_its_value() {
        assert_ne!(item_hash("a", b"bc"), item_hash("ab", b"c"));
        assert_ne!(item_hash("a", b"1"), item_hash("a", b"2"));
    }
}
