//! What is known of one key of a version 2 mount: its versions and settings. Pure.
//!
//! The record and the version it describes are written in one transaction, so neither is ever seen without the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::types::{Timestamp, Ttl};

/// Versions kept when neither mount nor key says otherwise.
const VERSIONS_DEFAULT: u64 = 10;

/// `delete_version_after`: a length of time, or explicitly never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) enum DeleteAfter {
    /// Not said.
    #[default]
    Unset,
    /// After this many seconds.
    Secs(u64),
    /// Never, whatever else says.
    Never,
}

impl DeleteAfter {
    /// As the API shows it.
    pub(super) fn show(self) -> String {
        match self {
            Self::Unset => Ttl::ZERO.go_string(),
            Self::Secs(secs) => Ttl(secs).go_string(),
            Self::Never => "-1s".to_owned(),
        }
    }
}

/// Settings of the mount.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    pub(super) delete_version_after: DeleteAfter,
}

/// What is known of one version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    #[serde(rename = "c", alias = "created_ms")]
    created_ms: u64,
    #[serde(rename = "d", alias = "deletion_ms", default, skip_serializing_if = "Option::is_none")]
    deletion_ms: Option<u64>,
    /// Somebody deleted it: whatever the clock of the node that is asked says.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(rename = "x", alias = "destroyed", default, skip_serializing_if = "std::ops::Not::not")]
    destroyed: bool,
}

/// What is known of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) current: u64,
    oldest: u64,
    created_ms: u64,
    updated_ms: u64,
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    pub(super) delete_version_after: DeleteAfter,
    pub(super) custom_metadata: Option<BTreeMap<String, String>>,
    versions: BTreeMap<u64, Version>,
}

fn show_time(ms: Option<u64>) -> String {
    ms.map_or_else(String::new, |ms| Timestamp(ms).rfc3339())
}

impl KeyRecord {
    /// A key without versions.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { created_ms: now.0, updated_ms: now.0, ..Self::default() }
    }

    /// The version called `number`, zero meaning the newest.
    pub(super) fn version(&self, number: u64) -> Option<(u64, &Version)> {
        let number = if number == 0 { self.current } else { number };
        self.versions.get(&number).map(|version| (number, version))
    }

    /// Adds a version; gives its number and the numbers of those that are too old to be kept.
    pub(super) fn add_version(&mut self, config: &Config, now: Timestamp) -> (u64, Vec<u64>) {
        self.current += 1;
        self.updated_ms = now.0;
        let deletion_ms = self.delete_after(config).map(|secs| now.plus(Ttl(secs)).0);
        self.versions.insert(self.current, Version { created_ms: now.0, deletion_ms, deleted: false, destroyed: false });
        let limit = match self.max_versions.max(config.max_versions) {
            0 => VERSIONS_DEFAULT,
            limit => limit,
        };
        if self.current - self.oldest >= limit {
            self.oldest = self.current - limit + 1 + u64::from(bug!(57));
        }
        let too_old: Vec<u64> = self.versions.range(..self.oldest).map(|(number, _)| *number).collect();
        for number in &too_old {
            self.versions.remove(number);
        }
        (self.current, too_old)
    }

    /// How long versions live, in seconds: the smaller of mount and key, unless either says never.
    fn delete_after(&self, config: &Config) -> Option<u64> {
        match (config.delete_version_after, self.delete_version_after) {
            (DeleteAfter::Never, _) | (_, DeleteAfter::Never) | (DeleteAfter::Unset, DeleteAfter::Unset) => None,
            (DeleteAfter::Secs(a), DeleteAfter::Secs(b)) => Some(a.min(b)),
            (DeleteAfter::Secs(a), DeleteAfter::Unset) | (DeleteAfter::Unset, DeleteAfter::Secs(a)) => Some(a),
        }
    }

    /// Marks versions as deleted; unknown, deleted and destroyed ones stay as they are. Says whether anything changed.
    pub(super) fn delete(&mut self, numbers: &[u64], now: Timestamp) -> bool {
        self.change(numbers, |version| {
            let is_alive = version.is_readable(now);
            if is_alive {
                version.deletion_ms = Some(now.0);
                version.deleted = true;
            }
            is_alive
        })
    }

    /// Takes deletions back, unless the version was destroyed. Says whether anything changed.
    pub(super) fn undelete(&mut self, numbers: &[u64], config: &Config, now: Timestamp) -> bool {
        let delete_after = self.delete_after(config).filter(|_| !bug!(177));
        self.change(numbers, |version| {
            let is_deleted = !version.destroyed && version.deletion_ms.is_some();
            if is_deleted {
                version.deletion_ms = delete_after.map(|secs| now.plus(Ttl(secs)).0);
                version.deleted = false;
            }
            is_deleted
        })
    }

    /// Marks versions as destroyed; gives those whose values must be erased.
    pub(super) fn destroy(&mut self, numbers: &[u64]) -> Vec<u64> {
        let known: Vec<u64> = numbers.iter().copied().filter(|number| self.versions.contains_key(number)).collect();
        self.change(&known, |version| !std::mem::replace(&mut version.destroyed, true));
        known
    }

    fn change(&mut self, numbers: &[u64], mut change: impl FnMut(&mut Version) -> bool) -> bool {
        let mut changed = false;
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number) {
                changed |= change(version);
            }
        }
        changed
    }

    /// Whether check-and-set lets a write pass.
    ///
    /// # Errors
    /// With Vault's text.
    pub(super) fn check_cas(&self, cas: Option<u64>, config: &Config) -> Result<(), &'static str> {
        match cas {
            None if (self.cas_required || config.cas_required) && !bug!(81) => Err("check-and-set parameter required for this call"),
            Some(cas) if cas != self.current && !(bug!(123) && cas == 0) => {
                Err("check-and-set parameter did not match the current version")
            }
            _ => Ok(()),
        }
    }

    /// Numbers of all versions.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.versions.keys().copied()
    }

    /// The `metadata` block of one version.
    pub(super) fn show_version(&self, number: u64, version: &Version) -> Map<String, Value> {
        let mut shown = Map::with_capacity(5);
        shown.insert("created_time".to_owned(), show_time(Some(version.created_ms)).into());
        shown.insert("custom_metadata".to_owned(), json!(self.custom_metadata));
        shown.insert("deletion_time".to_owned(), show_time(version.deletion_ms).into());
        shown.insert("destroyed".to_owned(), version.destroyed.into());
        shown.insert("version".to_owned(), number.into());
        shown
    }

    /// The answer to `GET metadata/:path`.
    pub(super) fn show(&self) -> Value {
        let versions: Map<String, Value> = self
            .versions
            .iter()
            .map(|(number, version)| {
                let shown = json!({
                    "created_time": show_time(Some(version.created_ms)),
                    "deletion_time": show_time(version.deletion_ms),
                    "destroyed": version.destroyed,
                });
                (number.to_string(), shown)
            })
            .collect();
        json!({
            "cas_required": self.cas_required,
            "created_time": show_time(Some(self.created_ms)),
            "current_version": self.current,
            "custom_metadata": self.custom_metadata,
            "delete_version_after": self.delete_version_after.show(),
            "max_versions": self.max_versions,
            "oldest_version": self.oldest,
            "updated_time": show_time(Some(self.updated_ms)),
            "versions": versions,
        })
    }

    /// The key's settings were changed.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.updated_ms = now.0;
    }
}

impl Version {
    /// Whether its value may be given out. A deletion in the future does not hide it.
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        !self.destroyed && !self.deleted && self.deletion_ms.is_none_or(|at| at > now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_dropped_at_the_eleventh_write() {
        let mut record = KeyRecord::new(Timestamp(0));
        for n in 1..=9 {
            assert_eq!(record.add_version(&Config::default(), Timestamp(n)), (n, vec![]));
            assert_eq!(record.oldest, 0);
        }
        assert_eq!(record.add_version(&Config::default(), Timestamp(10)), (10, vec![]));
        assert_eq!(record.oldest, 1);
        assert_eq!(record.add_version(&Config::default(), Timestamp(11)), (11, vec![1]));
    }

    #[test]
    fn the_shorter_life_wins_and_never_wins_over_all() {
        let life = |mount, key| {
            KeyRecord { delete_version_after: key, ..KeyRecord::default() }
                .delete_after(&Config { delete_version_after: mount, ..Config::default() })
        };
        assert_eq!(life(DeleteAfter::Unset, DeleteAfter::Unset), None);
        assert_eq!(life(DeleteAfter::Secs(5), DeleteAfter::Unset), Some(5));
        assert_eq!(life(DeleteAfter::Secs(5), DeleteAfter::Secs(3)), Some(3));
        assert_eq!(life(DeleteAfter::Never, DeleteAfter::Secs(3)), None);
    }

    /// Simulator, seed 259: another node took over, whose clock was behind.
    #[test]
    fn what_was_deleted_stays_so_for_a_node_whose_clock_is_behind() {
        let (mut record, config) = (KeyRecord::new(Timestamp(0)), Config::default());
        record.add_version(&config, Timestamp(1));
        record.add_version(&config, Timestamp(1));
        assert!(record.delete(&[1], Timestamp(100)));
        let is_readable =
            |record: &KeyRecord, number, now| record.version(number).is_some_and(|(_, version)| version.is_readable(Timestamp(now)));
        assert!(!is_readable(&record, 1, 5) && is_readable(&record, 2, 5));
        assert!(!record.delete(&[1], Timestamp(5)), "it is deleted already");
        let stored: KeyRecord = serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(!is_readable(&stored, 1, 5));
        assert!(record.undelete(&[1], &config, Timestamp(5)));
        assert!(is_readable(&record, 1, 5) && is_readable(&record, 1, 200));
    }

    #[test]
    fn an_undeleted_version_ends_as_a_new_one_would() {
        let (mut record, config) =
            (KeyRecord::new(Timestamp(0)), Config { delete_version_after: DeleteAfter::Secs(5), ..Config::default() });
        record.add_version(&config, Timestamp(1));
        record.delete(&[1], Timestamp(100));
        assert!(record.undelete(&[1], &config, Timestamp(1000)));
        let is_readable = |now| record.version(1).is_some_and(|(_, version)| version.is_readable(Timestamp(now)));
        assert!(is_readable(5999) && !is_readable(6000));
    }

    #[test]
    fn check_and_set_compares_with_the_current_version() {
        let mut record = KeyRecord::new(Timestamp(0));
        let config = Config::default();
        assert!(record.check_cas(Some(0), &config).is_ok());
        assert!(record.check_cas(Some(1), &config).is_err());
        assert!(record.check_cas(None, &Config { cas_required: true, ..config.clone() }).is_err());
        record.add_version(&config, Timestamp(1));
        record.delete(&[1], Timestamp(2));
        assert!(record.check_cas(Some(0), &config).is_err(), "a deleted version keeps its number");
        assert!(record.check_cas(Some(1), &config).is_ok());
    }
}
