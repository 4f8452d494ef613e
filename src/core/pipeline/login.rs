//! Around a login: users who failed too often are locked out, whatever password they show.
//!
//! A failure is counted in an entry of its own, because a refused request commits nothing else.

use crate::barrier::Txn;
use crate::core::{Core, Refused, lockout};
use crate::engine::{Access, EngineError, MountClass};

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
    /// Refuses a user who is locked out, in the words that a wrong password gets.
    pub(super) fn check_lockout(&self, txn: &mut Txn, asked: Asked<'_>, target: &Target<'_>) -> Result<(), Refused> {
        let Some(alias) = alias(asked, target) else { return Ok(()) };
        let is_locked = lockout::is_locked(txn, &target.mounted.mount, &alias, asked.now).map_err(EngineError::from)?;
        if is_locked { Err(Refused::Denied) } else { Ok(()) }
    }

    /// A login was right.
    pub(super) fn login_succeeded(&self, txn: &mut Txn, asked: Asked<'_>, target: &Target<'_>) -> Result<(), EngineError> {
        match alias(asked, target) {
            Some(alias) => Ok(lockout::succeeded(txn, &target.mounted.mount, &alias)?),
            None => Ok(()),
        }
    }

    /// A login was wrong: counted before the client is told.
    pub(super) async fn login_failed(&self, asked: Asked<'_>, target: &Target<'_>) {
        let Some(alias) = alias(asked, target) else { return };
        let settings = lockout::Settings::tuned(&target.mounted.row.config.user_lockout, self.options.lockout);
        let counted = self.context.write(|txn| Ok(lockout::failed(txn, &target.mounted.mount, &alias, settings, asked.now)?)).await;
        if let Err(error) = counted {
            tracing::warn!(%error, "a wrong login could not be counted");
        }
    }
}
