//! Files and folders in memory, each twice: as programs see them now, and as a disk would show them after its power was cut.
//!
//! What is durable: bytes of a file after its `fsync`; the name of a file after its own first `fsync` or that of its folder (as ext4 has
//! it); renames and removals after `fsync` of the folder. Not here: the kernel's protocol (`mount`), which faults there are (`faults`).

use std::collections::BTreeMap;

/// A file, folder or socket by number.
pub type Number = u64;
/// Of the folder that is mounted.
pub const ROOT: Number = 1;

/// What a number stands for.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Bytes, now and durable.
    File {
        /// As seen.
        now: Vec<u8>,
        /// As after a cut of power.
        durable: Vec<u8>,
        /// From where to where they may differ, so that a sync costs what was written.
        dirty: Option<(usize, usize)>,
    },
    /// Names, now and durable.
    Folder {
        /// As seen.
        now: BTreeMap<String, Number>,
        /// As after a cut of power.
        durable: BTreeMap<String, Number>,
    },
    /// A socket, which nobody expects to find again.
    Socket,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u16,
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing of that name or number.
    Missing,
    /// A folder that is not empty.
    NotEmpty,
    /// It is of another kind.
    WrongKind,
}

/// All files of one mount.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<Number, Node>,
    next: Number,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { kind: folder(), mode: 0o700 };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

fn folder() -> Kind {
    Kind::Folder { now: BTreeMap::new(), durable: BTreeMap::new() }
}

impl Tree {
    /// The node of a number.
    pub fn get(&self, number: Number) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// Changes permissions.
    pub fn set_mode(&mut self, number: Number, mode: u16) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.mode = mode;
        }
    }

    /// Names in a folder, now.
    ///
    /// # Errors
    /// If it is none.
    pub fn names(&self, number: Number) -> Result<&BTreeMap<String, Number>, Refused> {
        match self.nodes.get(&number).map(|node| &node.kind) {
            Some(Kind::Folder { now, .. }) => Ok(now),
            Some(_) => Err(Refused::WrongKind),
            None => Err(Refused::Missing),
        }
    }

    fn names_mut(&mut self, number: Number) -> Result<&mut BTreeMap<String, Number>, Refused> {
        match self.nodes.get_mut(&number).map(|node| &mut node.kind) {
            Some(Kind::Folder { now, .. }) => Ok(now),
            Some(_) => Err(Refused::WrongKind),
            None => Err(Refused::Missing),
        }
    }

    /// The number under a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn look_up(&self, parent: Number, name: &str) -> Result<Number, Refused> {
        self.names(parent)?.get(name).copied().ok_or(Refused::Missing)
    }

    /// Makes something under a name.
    ///
    /// # Errors
    /// If the parent is no folder.
    pub fn make(&mut self, parent: Number, name: &str, what: &str, mode: u16) -> Result<Number, Refused> {
        let kind = match what {
            "folder" => folder(),
            "socket" => Kind::Socket,
            _ => Kind::File { now: Vec::new(), durable: Vec::new(), dirty: None },
        };
        let number = self.next;
        self.names_mut(parent)?.insert(name.to_owned(), number);
        self.nodes.insert(number, Node { kind, mode });
        self.next += 1;
        Ok(number)
    }

    /// Takes a name away. What it named stays readable for whoever has it open.
    ///
    /// # Errors
    /// If there is none, or it is a folder with names in it.
    pub fn remove(&mut self, parent: Number, name: &str) -> Result<(), Refused> {
        let number = self.look_up(parent, name)?;
        if self.names(number).is_ok_and(|names| !names.is_empty()) {
            return Err(Refused::NotEmpty);
        }
        self.names_mut(parent)?.remove(name);
        Ok(())
    }

    /// Moves a name, over whatever has the new one.
    ///
    /// # Errors
    /// If there is none.
    pub fn rename(&mut self, parent: Number, name: &str, to: Number, new: &str) -> Result<(), Refused> {
        let number = self.look_up(parent, name)?;
        self.names(to)?;
        self.names_mut(parent)?.remove(name);
        self.names_mut(to)?.insert(new.to_owned(), number);
        Ok(())
    }

    /// A second name for the same file.
    ///
    /// # Errors
    /// If the folder is none.
    pub fn link(&mut self, number: Number, parent: Number, name: &str) -> Result<(), Refused> {
        self.names_mut(parent)?.insert(name.to_owned(), number);
        Ok(())
    }

    /// A file's bytes, now.
    ///
    /// # Errors
    /// If it is no file.
    pub fn bytes(&self, number: Number) -> Result<&[u8], Refused> {
        match self.nodes.get(&number).map(|node| &node.kind) {
            Some(Kind::File { now, .. }) => Ok(now),
            Some(_) => Err(Refused::WrongKind),
            None => Err(Refused::Missing),
        }
    }

    /// Sets a file's length; new bytes are zero.
    ///
    /// # Errors
    /// If it is no file.
    pub fn resize(&mut self, number: Number, size: usize) -> Result<(), Refused> {
        self.file(number, |now| {
            let from = now.len().min(size);
            now.resize(size, 0);
            (from, size)
        })
    }

    /// Writes bytes at a place, behind the end too.
    ///
    /// # Errors
    /// If it is no file.
    pub fn write(&mut self, number: Number, at: usize, data: &[u8]) -> Result<(), Refused> {
        self.file(number, |now| {
            let (old, end) = (now.len(), at + data.len());
            now.resize(old.max(end), 0);
            now[at..end].copy_from_slice(data);
            (at.min(old), end)
        })
    }

    fn file(&mut self, number: Number, change: impl FnOnce(&mut Vec<u8>) -> (usize, usize)) -> Result<(), Refused> {
        match self.nodes.get_mut(&number).map(|node| &mut node.kind) {
            Some(Kind::File { now, dirty, .. }) => {
                let (from, to) = change(now);
                *dirty = Some(dirty.map_or((from, to), |(low, high)| (low.min(from), high.max(to))));
                Ok(())
            }
            Some(_) => Err(Refused::WrongKind),
            None => Err(Refused::Missing),
        }
    }

    /// Makes durable what a file or folder is now.
    pub fn sync(&mut self, number: Number) {
        match self.nodes.get_mut(&number).map(|node| &mut node.kind) {
            Some(Kind::File { now, durable, dirty }) => {
                durable.resize(now.len(), 0);
                if let Some((from, to)) = dirty.take() {
                    let to = to.min(now.len());
                    durable[from.min(to)..to].copy_from_slice(&now[from.min(to)..to]);
                }
            }
            Some(Kind::Folder { now, durable }) => durable.clone_from(now),
            _ => return,
        }
        // A new name of a file that is synced is durable with it; a name that it had before, too, until the folder is synced.
        for node in self.nodes.values_mut() {
            if let Kind::Folder { now, durable } = &mut node.kind {
                let is_known = durable.values().any(|known| *known == number);
                if !is_known {
                    durable.extend(now.iter().filter(|(_, named)| **named == number).map(|(name, named)| (name.clone(), *named)));
                }
            }
        }
    }

    /// Cuts the power: all that was not durable is gone, except that `keep` of a file's changed bytes may have reached the disk.
    pub fn lose_power(&mut self, mut keep: impl FnMut(usize) -> usize) {
        for node in self.nodes.values_mut() {
            match &mut node.kind {
                Kind::File { now, durable, dirty } => {
                    *dirty = None;
                    let same = now.iter().zip(durable.iter()).take_while(|(one, other)| one == other).count();
                    let kept = same + keep(now.len() - same);
                    // Torn: the beginning of what was written is there, the rest is not.
                    if kept > same {
                        if durable.len() < kept {
                            durable.resize(kept, 0);
                        }
                        durable[same..kept].copy_from_slice(&now[same..kept]);
                    }
                    now.clone_from(durable);
                }
                Kind::Folder { now, durable } => now.clone_from(durable),
                Kind::Socket => {}
            }
        }
        self.forget_unnamed();
    }

    fn forget_unnamed(&mut self) {
        let mut named = vec![ROOT];
        let mut at = 0;
        while let Some(number) = named.get(at).copied() {
            named.extend(self.names(number).into_iter().flat_map(BTreeMap::values).copied());
            at += 1;
        }
        let named: std::collections::BTreeSet<Number> = named.into_iter().collect();
        self.nodes.retain(|number, _| named.contains(number));
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let of = |node: &Node| if let Kind::File { now, .. } = &node.kind { now.len() as u64 } else { 0 };
        self.nodes.values().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tree: &mut Tree, number: Number, text: &str) {
        let end = tree.bytes(number).unwrap().len();
        tree.write(number, end, text.as_bytes()).unwrap();
    }

    fn text(tree: &Tree, name: &str) -> Option<String> {
        let number = tree.look_up(ROOT, name).ok()?;
        let Kind::File { now, .. } = &tree.get(number)?.kind else { return None };
        Some(String::from_utf8_lossy(now).into_owned())
    }

    #[test]
    fn what_was_synced_survives_and_nothing_else() {
        let mut tree = Tree::default();
        let (kept, lost) = (tree.make(ROOT, "kept", "file", 0o600).unwrap(), tree.make(ROOT, "lost", "file", 0o600).unwrap());
        write(&mut tree, kept, "one");
        tree.sync(kept);
        write(&mut tree, kept, "two");
        write(&mut tree, lost, "three");
        assert_eq!(text(&tree, "kept").as_deref(), Some("onetwo"));
        tree.lose_power(|_| 0);
        assert_eq!((text(&tree, "kept").as_deref(), text(&tree, "lost")), (Some("one"), None));
    }

    #[test]
    fn a_rename_is_durable_once_its_folder_is() {
        let mut tree = Tree::default();
        let number = tree.make(ROOT, "new", "file", 0o600).unwrap();
        write(&mut tree, number, "x");
        tree.sync(number);
        tree.rename(ROOT, "new", ROOT, "name").unwrap();
        let mut synced = Tree { nodes: tree.nodes.clone(), next: tree.next };
        tree.lose_power(|_| 0);
        assert_eq!((text(&tree, "new").is_some(), text(&tree, "name").is_some()), (true, false));
        synced.sync(ROOT);
        synced.lose_power(|_| 0);
        assert_eq!((text(&synced, "new").is_some(), text(&synced, "name").is_some()), (false, true));
    }

    #[test]
    fn a_torn_write_keeps_its_beginning() {
        let mut tree = Tree::default();
        let number = tree.make(ROOT, "log", "file", 0o600).unwrap();
        write(&mut tree, number, "head");
        tree.sync(number);
        write(&mut tree, number, "record");
        tree.lose_power(|changed| changed / 2);
        assert_eq!(text(&tree, "log").as_deref(), Some("headrec"));
    }
}
