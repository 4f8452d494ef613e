//! The line between the two, as `session` and `follower` drive it: messages wait until the model delivers them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Side, World};
use crate::machine::{Command, PageId, Role};
use crate::replication::applier::{Applier, ApplyAction, ApplyEvent};
use crate::replication::link::{FromPrimary, FromSecondary};
use crate::replication::shipper::{ShipAction, ShipEvent, Shipper};
use crate::storage::{MemStore, Physical, Reader};
use crate::types::{Scope, Timestamp};

/// The line of a secondary.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) shipper: Shipper,
    pub(super) applier: Applier,
    pub(super) up: VecDeque<FromSecondary>,
    pub(super) down: VecDeque<FromPrimary>,
    pub(super) proposal: Option<Command>,
    pub(super) snapshot: Option<Arc<dyn Reader>>,
    /// The primary has ended it: what is under way still arrives.
    pub(super) is_ending: bool,
}

impl World {
    /// The primary's side of the line of cluster `at`.
    pub(super) fn ship(&mut self, at: usize, event: ShipEvent) {
        let mut events = VecDeque::from([event]);
        let (mut fence, mut actions) = (None, Vec::new());
        let [one, two] = &mut self.sides;
        let (side, theirs) = if at == 0 { (one, &two.store) } else { (two, &one.store) };
        let Some(line) = side.line.as_mut().filter(|line| !line.is_ending) else { return };
        while let Some(event) = events.pop_front() {
            line.shipper.step(event, &mut actions);
            for action in actions.drain(..) {
                match action {
                    ShipAction::Send(message) => {
                        line.down.push_back(message);
                        events.push_back(ShipEvent::Drained);
                    }
                    ShipAction::Beat { .. } => line.down.push_back(heartbeat(theirs)),
                    ShipAction::LookUp(wal) => events.push_back(ShipEvent::Found(theirs.position_at(wal).unwrap())),
                    ShipAction::ReadRecords { after, bytes_max } => {
                        let is_ours = theirs.position_at(after.wal).unwrap() == Some(after);
                        let records = if is_ours { theirs.records(after.wal, bytes_max).unwrap() } else { None };
                        events.push_back(ShipEvent::Read(records));
                    }
                    ShipAction::TakeSnapshot => {
                        let reader = theirs.reader();
                        events.push_back(ShipEvent::Snapshot(reader.positions().performance));
                        line.snapshot = Some(reader);
                    }
                    ShipAction::DropSnapshot => line.snapshot = None,
                    ShipAction::Compare(sums) => {
                        let ours = line.snapshot.as_ref().unwrap().pages(Scope::Shared);
                        let differing = (0..=u16::MAX).zip(ours.iter().zip(&sums)).filter(|(_, (a, b))| a != b).map(|(n, _)| PageId(n));
                        events.push_back(ShipEvent::Differing(differing.collect()));
                    }
                    ShipAction::SendPage(page) => {
                        let rows = line.snapshot.as_ref().unwrap().page_rows(Scope::Shared, page).unwrap();
                        let rows = rows.into_iter().map(|(path, stored)| (path.to_string(), stored.value)).collect();
                        line.down.push_back(FromPrimary::Rows { page, rows, is_last: true });
                        events.push_back(ShipEvent::Drained);
                    }
                    ShipAction::Acked(_) => {}
                    ShipAction::Fence(by) => fence = Some(by),
                    ShipAction::Close(_) => line.is_ending = true,
                }
            }
        }
        if let (Some(by), Role::Primary { set, generation, fenced_by }) = (fence, theirs.role())
            && fenced_by.is_none_or(|known| known < by)
        {
            self.set_role(1 - at, Role::Primary { set, generation, fenced_by: Some(by) });
        }
    }

    /// The secondary's side of its line.
    pub(super) fn follow(&mut self, at: usize, event: ApplyEvent) {
        let (mut events, mut actions) = (VecDeque::from([event]), Vec::new());
        let Side { store, line: place, .. } = &mut self.sides[at];
        let Some(line) = place else { return };
        let mut is_over = false;
        while let Some(event) = events.pop_front() {
            line.applier.step(event, &mut actions);
            for action in actions.drain(..) {
                match action {
                    ApplyAction::Greet => line.up.push_back(hello(store)),
                    ApplyAction::Send(message) => line.up.push_back(message),
                    ApplyAction::ReadOwnSums => events.push_back(ApplyEvent::OwnSums(store.reader().pages(Scope::Shared).to_vec())),
                    ApplyAction::ReadOwnRows(page) => {
                        let rows = store.reader().page_rows(Scope::Shared, page).unwrap();
                        events.push_back(ApplyEvent::OwnRows(rows.into_iter().map(|(path, stored)| (path, stored.value)).collect()));
                    }
                    ApplyAction::Propose(command) => line.proposal = Some(command),
                    ApplyAction::Beat { .. } => {}
                    ApplyAction::Close(_) => is_over = true,
                }
            }
        }
        if is_over {
            self.sides[at].cut();
        }
    }
}

fn heartbeat(theirs: &MemStore) -> FromPrimary {
    FromPrimary::Heartbeat {
        now: Timestamp(0),
        echo: Timestamp(0),
        position: theirs.positions().performance,
        generation: theirs.role().generation(),
        cluster_addrs: Vec::new(),
        api_addr: String::new(),
        cluster_addr: String::new(),
    }
}

fn hello(store: &MemStore) -> FromSecondary {
    let (have, generation) = (store.positions().performance, store.role().generation());
    FromSecondary::Hello { have, generation, filling: false, api_addr: String::new(), cluster_addr: String::new() }
}
