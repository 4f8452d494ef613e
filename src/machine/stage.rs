//! Many entries applied one after the other before one write: the state as it will be.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Applied, Command, KeyUses, PageId, PageSum, Positions, Role, Stored, View, apply};
use crate::types::{Index, Key, Revision, Scope};

/// A view with the entries that were applied to it since; hand [`Stage::into_applied`] to storage in one write.
pub struct Stage<'v, V> {
    base: &'v V,
    wiped: bool,
    /// What was written, and what was read before: entries that follow each other rest on the same tokens and settings.
    rows: RefCell<HashMap<Key, Option<Stored>>>,
    pages: HashMap<(Scope, PageId), PageSum>,
    role: Option<Role>,
    positions: Positions,
    key_uses: KeyUses,
    applied: Vec<Applied>,
}

impl<'v, V: View> Stage<'v, V> {
    /// Nothing applied yet.
    pub fn new(base: &'v V) -> Self {
        Self {
            base,
            wiped: false,
            rows: RefCell::default(),
            pages: HashMap::new(),
            role: None,
            positions: base.positions(),
            key_uses: base.key_uses(),
            applied: Vec::new(),
        }
    }

    /// Applies one more entry.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn apply(&mut self, at: Index, command: &Command) -> Result<&Applied, V::Error> {
        let applied = apply(self, at, command)?;
        if applied.wipe {
            self.wiped = true;
            self.rows.get_mut().retain(|key, _| key.scope == Scope::Node);
            self.pages.clear();
        }
        for row in &applied.rows {
            let revision = if bug!(93) { self.revision_before(&row.key) } else { None }.unwrap_or(Revision(at.0));
            let stored = row.value.as_ref().map(|value| Stored { revision, value: value.clone() });
            self.rows.get_mut().insert(row.key.clone(), stored);
        }
        self.pages.extend(applied.pages.iter().map(|(id, sum)| (*id, *sum)));
        self.positions = applied.positions;
        self.key_uses = applied.key_uses;
        if let Some(role) = &applied.role {
            self.role = Some(role.clone());
        }
        self.applied.push(applied);
        Ok(self.applied.last().expect("an entry was just pushed"))
    }

    /// Planted bug 93: what a row was known to rest on before this entry.
    fn revision_before(&self, key: &Key) -> Option<Revision> {
        self.rows.borrow().get(key).and_then(|row| row.as_ref().map(|row| row.revision))
    }

    /// All that was applied, in order.
    pub fn into_applied(self) -> Vec<Applied> {
        self.applied
    }
}

impl<V: View> View for Stage<'_, V> {
    type Error = V::Error;

    fn role(&self) -> Role {
        self.role.clone().filter(|_| !bug!(120)).unwrap_or_else(|| self.base.role())
    }
    fn positions(&self) -> Positions {
        self.positions
    }
    fn key_uses(&self) -> KeyUses {
        self.key_uses
    }
    fn stored(&self, key: &Key) -> Result<Option<Stored>, V::Error> {
        if let Some(known) = self.rows.borrow().get(key) {
            return Ok(known.clone());
        }
        if self.wiped && key.scope != Scope::Node {
            return Ok(None);
        }
        let stored = self.base.stored(key)?;
        self.rows.borrow_mut().insert(key.clone(), stored.clone());
        Ok(stored)
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        match self.pages.get(&(scope, page)) {
            Some(sum) => *sum,
            None if self.wiped => PageSum::default(),
            None => self.base.page(scope, page),
        }
    }
}
