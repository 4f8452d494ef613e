//! What follows from a log entry: `(state, index, command) → writes`. Pure.
//!
//! The safety of one-way replication is decided here and nowhere else: on a performance secondary no write of its own touches a
//! shared key, and nothing is replayed out of order, with a gap, or from a lower generation.
//!
//! Not here: where rows lie (`storage`), who may ask for what (`core`).

use std::collections::BTreeMap;

use super::{Batch, Ciphertext, Command, Guard, KeyUse, KeyUses, Op, PageId, PageSum, Positions, Record, Role, codec, item_hash, page_of};
use crate::types::{Generation, Index, Key, Position, Revision, Scope, Timestamp, WalIndex};

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The entry that last wrote it.
    pub revision: Revision,
    /// Its value, encrypted.
    pub value: Ciphertext,
}

/// All that [`apply`] may ask of the state.
pub trait View {
    /// Why the state could not be read. Whoever applies ends the process on it: a node that skips an entry is wrong for ever.
    type Error;
    /// The role of this cluster.
    fn role(&self) -> Role;
    /// How far its histories reach.
    fn positions(&self) -> Positions;
    /// What its keys encrypted.
    fn key_uses(&self) -> KeyUses;
    /// The row at `key`.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn stored(&self, key: &Key) -> Result<Option<Stored>, Self::Error>;
    /// The sum of a page of the tree over `scope`.
    fn page(&self, scope: Scope, page: PageId) -> PageSum;
}

/// How an entry ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Applied whole; the histories now reach this far.
    Committed(Positions),
    /// Not applied: this key changed since the request read it. The handler may run again.
    Conflict(Key),
    /// Not applied, and never will be.
    Refused(Refusal),
}

/// Why an entry was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// This cluster may not write that key in its role.
    #[error("cannot write to readonly storage")]
    NotOurs(Key),
    /// Another cluster of the set was promoted meanwhile.
    #[error("this primary was replaced: generation {0} took over")]
    Fenced(Generation),
    /// The records do not follow what is here.
    #[error("the records do not follow this cluster's position")]
    OutOfOrder,
    /// The records come from a primary that was replaced.
    #[error("the records come from a replaced primary: generation {theirs}, ours is {ours}")]
    OldGeneration {
        /// What came.
        theirs: Generation,
        /// What this cluster has accepted.
        ours: Generation,
    },
    /// A promotion to a generation that there was already.
    #[error("a promotion must begin a later generation than {ours}, not {theirs}: try again")]
    NotLater {
        /// What was to begin.
        theirs: Generation,
        /// What this cluster has accepted.
        ours: Generation,
    },
    /// A secondary's command on a cluster that is none.
    #[error("this cluster is no replication secondary")]
    NotSecondary,
    /// Bytes that are no record, or a record that carries a key that is not shared.
    #[error("the record is not one that may be shipped")]
    BadRecord,
}

/// One row to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowWrite {
    /// Where.
    pub key: Key,
    /// What; `None` removes the row.
    pub value: Option<Ciphertext>,
    /// Whether the row is there before. A node's own rows, which no page covers, are not looked at and count as not there.
    pub existed: bool,
}

/// What one entry changes. Stored in one atomic write, with its index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The entry, which becomes the revision of its rows.
    pub at: Index,
    /// First remove all shared and local rows, pages and records.
    pub wipe: bool,
    /// Then write these, in order.
    pub rows: Vec<RowWrite>,
    /// Pages of the trees as they are afterwards.
    pub pages: BTreeMap<(Scope, PageId), PageSum>,
    /// Forget the records kept so far: history goes on from elsewhere.
    pub forget_records: bool,
    /// Keep these encoded records for secondaries.
    pub records: Vec<(WalIndex, bytes::Bytes)>,
    /// How far the histories reach afterwards.
    pub positions: Positions,
    /// What the keys have encrypted afterwards.
    pub key_uses: KeyUses,
    /// The role afterwards, if it changed.
    pub role: Option<Role>,
    /// How it ended. Unless `Committed`, nothing above is set.
    pub outcome: Outcome,
}

/// Same view, same index, same command: same result, on every node, for ever.
///
/// # Errors
/// Only if the view cannot be read.
pub fn apply<V: View>(view: &V, at: Index, command: &Command) -> Result<Applied, V::Error> {
    let mut change = Change { view, applied: unchanged(view, at), written: BTreeMap::new() };
    let verdict = match command {
        Command::Write(batch) => change.write(batch)?,
        Command::Ship { generation, after, records } => change.ship(*generation, *after, records)?,
        Command::SetRole { role, batch } => change.set_role(role, batch)?,
        Command::Adopt { role, ops, encrypted } => change.adopt(role, ops, *encrypted)?,
        Command::Repair { ops, done, generation } => change.repair(ops, *done, *generation)?,
    };
    Ok(match verdict {
        Ok(()) => {
            change.applied.outcome = Outcome::Committed(change.applied.positions);
            change.applied
        }
        Err(outcome) => Applied { outcome, ..unchanged(view, at) },
    })
}

fn unchanged<V: View>(view: &V, at: Index) -> Applied {
    let positions = view.positions();
    Applied {
        at,
        wipe: false,
        rows: Vec::new(),
        pages: BTreeMap::new(),
        forget_records: false,
        records: Vec::new(),
        positions,
        key_uses: view.key_uses(),
        role: None,
        outcome: Outcome::Committed(positions),
    }
}

/// `Err` holds the outcome of an entry that changes nothing.
type Verdict = Result<(), Outcome>;

struct Change<'v, V> {
    view: &'v V,
    applied: Applied,
    /// What this entry itself has written so far: a batch may write one key twice.
    written: BTreeMap<Key, Option<Ciphertext>>,
}

impl<V: View> Change<'_, V> {
    fn write(&mut self, batch: &Batch) -> Result<Verdict, V::Error> {
        if let Err(outcome) = self.check_guards(&batch.guards)? {
            return Ok(Err(outcome));
        }
        let role = self.view.role();
        if let Some(op) = batch.ops.iter().find(|op| !role.may_write(op.key().scope) && !bug!(66)) {
            let refusal = match role {
                Role::Primary { fenced_by: Some(by), .. } => Refusal::Fenced(by),
                _ => Refusal::NotOurs(op.key().clone()),
            };
            return Ok(Err(Outcome::Refused(refusal)));
        }
        self.write_all(batch)?;
        Ok(Ok(()))
    }

    fn ship(&mut self, generation: Generation, after: Position, records: &[bytes::Bytes]) -> Result<Verdict, V::Error> {
        let Role::Secondary { generation: ours, filling: false, .. } = self.view.role() else {
            return Ok(Err(Outcome::Refused(Refusal::NotSecondary)));
        };
        if generation < ours {
            return Ok(Err(Outcome::Refused(Refusal::OldGeneration { theirs: generation, ours })));
        }
        if bug!(34) && after.wal > self.applied.positions.performance.wal {
            self.applied.positions.performance = after;
        }
        if after != self.applied.positions.performance {
            return Ok(Err(Outcome::Refused(Refusal::OutOfOrder)));
        }
        if generation > ours && !(bug!(142) && records.is_empty()) {
            self.accept_generation(generation);
        }
        for bytes in records {
            let Ok(record) = codec::decode_record(bytes) else {
                return Ok(Err(Outcome::Refused(Refusal::BadRecord)));
            };
            if record.wal != self.applied.positions.performance.wal.next() {
                return Ok(Err(Outcome::Refused(Refusal::OutOfOrder)));
            }
            if record.ops.iter().any(|op| op.key().scope != Scope::Shared) && !bug!(32) {
                return Ok(Err(Outcome::Refused(Refusal::BadRecord)));
            }
            self.put_all(&record.ops)?;
            self.keep(record.wal, bytes.clone(), record.at);
        }
        if bug!(33)
            && let Some(Ok(again)) = records.first().map(codec::decode_record)
        {
            self.put_all(&again.ops)?;
        }
        Ok(Ok(()))
    }

    fn set_role(&mut self, role: &Role, batch: &Batch) -> Result<Verdict, V::Error> {
        if let Err(outcome) = self.check_guards(&batch.guards)? {
            return Ok(Err(outcome));
        }
        // What a cluster remembers of its role is never shipped; only a primary or a cluster alone may write what is.
        if let Some(op) = batch.ops.iter().find(|op| !self.view.role().may_write(op.key().scope)) {
            return Ok(Err(Outcome::Refused(Refusal::NotOurs(op.key().clone()))));
        }
        // The primary that it follows may have told a later generation since the promotion was decided.
        if let (Role::Secondary { generation: ours, .. }, Role::Primary { generation, .. }) = (self.view.role(), role)
            && *generation <= ours
            && !bug!(37)
        {
            return Ok(Err(Outcome::Refused(Refusal::NotLater { theirs: *generation, ours })));
        }
        self.write_all(batch)?;
        self.applied.role = Some(role.clone());
        Ok(Ok(()))
    }

    fn adopt(&mut self, role: &Role, ops: &[Op], encrypted: KeyUse) -> Result<Verdict, V::Error> {
        if !matches!(role, Role::Secondary { filling: true, .. }) {
            return Ok(Err(Outcome::Refused(Refusal::NotSecondary)));
        }
        self.applied.wipe = !bug!(95);
        self.applied.forget_records = true;
        self.applied.positions = Positions { dr: self.applied.positions.dr, ..Positions::default() };
        self.applied.role = Some(role.clone());
        // The keys are others from here on, whatever their numbers.
        self.applied.key_uses = KeyUses::default().and(encrypted);
        self.put_all(ops)?;
        Ok(Ok(()))
    }

    fn repair(&mut self, ops: &[Op], done: Option<Position>, generation: Generation) -> Result<Verdict, V::Error> {
        let Role::Secondary { generation: ours, .. } = self.view.role() else {
            return Ok(Err(Outcome::Refused(Refusal::NotSecondary)));
        };
        if generation < ours {
            return Ok(Err(Outcome::Refused(Refusal::OldGeneration { theirs: generation, ours })));
        }
        if ops.iter().any(|op| op.key().scope != Scope::Shared) {
            return Ok(Err(Outcome::Refused(Refusal::BadRecord)));
        }
        self.put_all(ops)?;
        if bug!(36) {
            self.accept_generation(generation);
        }
        if let Some(position) = done {
            self.applied.positions.performance = position;
            self.applied.forget_records = !bug!(118);
            self.accept_generation(generation);
        }
        Ok(Ok(()))
    }

    /// A secondary follows a primary of a later generation; being caught up ends the filling.
    fn accept_generation(&mut self, generation: Generation) {
        if let Role::Secondary { set, .. } = self.view.role() {
            self.applied.role = Some(Role::Secondary { set, generation, filling: false });
        }
    }

    fn check_guards(&self, guards: &[Guard]) -> Result<Verdict, V::Error> {
        for Guard::Unchanged { key, since } in guards {
            let revision = self.view.stored(key)?.map(|stored| stored.revision);
            if bug!(8) && revision == Some(Revision(self.applied.at.0)) {
                continue;
            }
            if revision != *since && !(bug!(65) && revision.is_none()) {
                return Ok(Err(Outcome::Conflict(key.clone())));
            }
        }
        Ok(Ok(()))
    }

    /// The rows of a batch, its record, and what it took to encrypt it.
    fn write_all(&mut self, batch: &Batch) -> Result<(), V::Error> {
        self.put_all(&batch.ops)?;
        self.record(&batch.ops, batch.at);
        if !bug!(107) {
            self.applied.key_uses = self.applied.key_uses.and(batch.encrypted);
        }
        Ok(())
    }

    fn put_all(&mut self, ops: &[Op]) -> Result<(), V::Error> {
        for op in ops {
            let key = op.key();
            let mut existed = false;
            if key.scope != Scope::Node {
                let id = (key.scope, page_of(&key.path));
                let before = self.value_before(key)?;
                let mut page = self.page(id);
                if let Some(value) = before.filter(|_| !bug!(35) || op.value().is_some()) {
                    existed = true;
                    page.subtract(item_hash(&key.path, &value));
                }
                if let Some(value) = op.value() {
                    page.add(item_hash(&key.path, value));
                }
                self.applied.pages.insert(id, page);
            }
            self.written.insert(key.clone(), op.value().cloned());
            self.applied.rows.push(RowWrite { key: key.clone(), value: op.value().cloned(), existed });
        }
        Ok(())
    }

    fn value_before(&self, key: &Key) -> Result<Option<Ciphertext>, V::Error> {
        if let Some(value) = self.written.get(key) {
            return Ok(value.clone());
        }
        if self.applied.wipe {
            return Ok(None);
        }
        Ok(self.view.stored(key)?.map(|stored| stored.value))
    }

    fn page(&self, id: (Scope, PageId)) -> PageSum {
        match self.applied.pages.get(&id) {
            Some(page) => *page,
            None if self.applied.wipe => PageSum::default(),
            None => self.view.page(id.0, id.1),
        }
    }

    /// Counts the entry, and keeps its shared writes for secondaries.
    fn record(&mut self, ops: &[Op], at: Timestamp) {
        let is_shipped =
            |key: &Key| key.scope == Scope::Shared || bug!(32) && key.scope == Scope::Local && key.path.starts_with("sys/token/id/");
        let shared: Vec<Op> = ops.iter().filter(|op| is_shipped(op.key()) && (op.value().is_some() || !bug!(117))).cloned().collect();
        if !shared.is_empty() {
            let wal = self.applied.positions.performance.wal.next();
            let bytes = codec::encode_record(&Record { wal, at, ops: shared });
            self.keep(wal, bytes, at);
        } else if ops.iter().any(|op| op.key().scope == Scope::Local) {
            self.applied.positions.dr = self.applied.positions.dr.next();
        }
    }

    fn keep(&mut self, wal: WalIndex, bytes: bytes::Bytes, at: Timestamp) {
        let positions = &mut self.applied.positions;
        positions.performance = positions.performance.then(&bytes);
        positions.performance_at = at;
        positions.dr = positions.dr.next();
        self.applied.records.push((wal, bytes));
    }
}
