//! Around a login: users who failed too often are locked out, whatever password they show. The rules are in `lockout`.
//!
//! A failure is counted in an entry of its own, because a refused request commits nothing else.

use crate::barrier::Txn;
use crate::core::lockout::{Lock, WrongLogin};
use crate::core::response::Refused;
use crate::core::{Core, lockout};
use crate::engine::{Access, EngineError, MountClass, Reply};

use super::Asked;
use super::route::Target;

/// Whom a login is for, as far as its path or fields say so before it is tried.
pub(super) fn alias(asked: Asked<'_>, target: &Target<'_>) -> Option<String> {
    let is_login = target.mounted.class == MountClass::Auth
        && target.route.access == Access::Anyone
        && target.route.pattern.starts_with("login")
        && target.mounted.row.config.user_lockout.get("lockout_disable").is_none_or(|text| text != "true");
    if !is_login {
        return None;
    }
    let in_path = ["name", "username"].into_iter().map(|name| target.captures.get(name)).find(|text| !text.is_empty());
    let in_fields = || asked.request.data.text("role_id").ok().flatten();
    in_path.map(str::to_owned).or_else(in_fields).filter(|alias| !alias.is_empty())
}

impl Core {
    fn alias_here(&self, asked: Asked<'_>, target: &Target<'_>) -> Option<String> {
        let alias = alias(asked, target)?;
        // As if every node counted for itself.
        Some(if bug!(30) { format!("{alias}@{}", self.context.raft.status().borrow().id) } else { alias })
    }

    /// Whether the user whom a login is for is locked out.
    pub(super) fn lock_of(&self, txn: &mut Txn, asked: Asked<'_>, target: &Target<'_>) -> Result<Lock, EngineError> {
        match self.alias_here(asked, target) {
            Some(alias) => Ok(lockout::lock(txn, &target.mounted.mount, &alias, asked.now)?),
            None => Ok(Lock::Open),
        }
    }

    /// A login was right.
    pub(super) fn login_succeeded(&self, txn: &mut Txn, asked: Asked<'_>, target: &Target<'_>) -> Result<(), EngineError> {
        match self.alias_here(asked, target) {
            Some(alias) => Ok(lockout::succeeded(txn, &target.mounted.mount, &alias)?),
            None => Ok(()),
        }
    }

    /// A login was wrong: counted before the client is told, or the client is not told. `is_known`: there is such a user.
    ///
    /// # Errors
    /// If it could not be counted, or others have locked the user out meanwhile.
    pub(super) async fn login_failed(&self, asked: Asked<'_>, target: &Target<'_>, is_known: bool) -> Result<(), Refused> {
        let Some(alias) = self.alias_here(asked, target) else { return Ok(()) };
        let settings = lockout::Settings::tuned(&target.mounted.row.config.user_lockout, self.options.lockout);
        let wrong = WrongLogin { mount: &target.mounted.mount, alias: &alias, is_known };
        let before = self.context.write(|txn| {
            let before = lockout::lock(txn, wrong.mount, wrong.alias, asked.now)?;
            self.lockouts.failed(txn, wrong, settings, asked.now)?;
            Ok(before)
        });
        if before.await? == Lock::Told { Err(Refused::Denied) } else { Ok(()) }
    }
}

/// What becomes of a login by a user who must not be able to tell that they are locked out: it is wrong, whatever it was. A request
/// that was wrong before the user was looked at says so still.
pub(super) fn silenced(handled: Result<Reply, EngineError>) -> Result<Reply, EngineError> {
    match handled {
        Ok(_) | Err(EngineError::Denied | EngineError::BadLogin { .. }) => Err(EngineError::BadLogin { is_known: true }),
        Err(other) => Err(other),
    }
}
