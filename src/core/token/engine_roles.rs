//! `auth/token/roles`: reading, writing and deleting token roles.

use super::entry::{read_json, write_json};
use super::role::TokenRole;
use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::engine::{Call, EngineError, Operation, Reply};
use crate::types::Prefix;
use crate::types::limits::PAGE_NAMES_MAX;

/// Answers `roles/:role_name`.
pub(super) fn handle(call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
    let name = call.captures.get("role_name");
    if name.is_empty() {
        return Err(EngineError::invalid("role name cannot be empty"));
    }
    let row = keys::token_role(name);
    match call.operation {
        Operation::Read => match read_json::<TokenRole>(txn, &row)? {
            None => Ok(Reply::missing()),
            Some(role) => Ok(Reply::data(role.shown(name))),
        },
        Operation::Delete => {
            txn.delete(row);
            Ok(Reply::empty())
        }
        _ => {
            let stands: Option<TokenRole> = read_json(txn, &row)?;
            write_json(txn, row, &stands.unwrap_or_default().changed(call.data())?);
            Ok(Reply::empty())
        }
    }
}

/// All names below `index`, page after page.
pub(in crate::core) fn all_names(txn: &Txn, index: &Prefix) -> Result<Vec<String>, BarrierError> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = txn.children(index, all.last().map(String::as_str), PAGE_NAMES_MAX)?;
        let is_last = page.len() < PAGE_NAMES_MAX;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
