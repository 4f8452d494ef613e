//! `…/tune`: reading and changing the configuration of one mount.

use super::mount_config;
use super::mount_view;
use super::mounts::{MountTable, find_row, is_protected, move_epoch};
use crate::barrier::Txn;
use crate::core::keys;
use crate::core::mounts::{self, MountRow};
use crate::core::router::Router;
use crate::engine::{Call, Data, EngineError, MountClass, Reply};

const UPGRADING: &str =
    "Upgrading mount from version 1 to version 2. This mount will be unavailable for a brief period and will resume service shortly.";

/// Shows the configuration.
pub(super) fn read(table: &Router, class: MountClass, path: &str) -> Result<Reply, EngineError> {
    let full = mounts::full_path(class, path);
    let mounted = table.at(&full).ok_or_else(|| EngineError::invalid(format!("cannot fetch sysview for path \"{full}\"")))?;
    Ok(Reply::data(mount_view::tuning(mounted)))
}

/// Changes the configuration: fields that are absent keep their values.
pub(super) async fn write(area: &MountTable, call: &Call<'_>, txn: &mut Txn, class: MountClass, path: &str) -> Result<Reply, EngineError> {
    let full = mounts::full_path(class, path);
    if class == MountClass::Secret && is_protected(path) {
        return Err(EngineError::invalid(format!("cannot tune \"{full}\"")));
    }
    let Some((scope, mut row)) = find_row(txn, class, path)? else {
        return Err(EngineError::invalid(format!("tune of path \"{full}\" failed: no mount entry found")));
    };
    let data = call.data();
    mount_config::change(&mut row, class, data)?;
    mount_config::check_tuned_ttls(&row.config, area.mounts.system_ttls())?;
    if let Some(description) = data.text("description")? {
        row.description = description;
    }
    let reply = change_options(&mut row, data)?;
    if !reply.warnings.is_empty()
        && let Some(upgraded) = area.mounts.open(scope, class, path, row.clone())
        && let Some((kind, engine)) = upgraded.engine()
    {
        engine.upgrade(&mut txn.view(&upgraded.mount.id, scope, kind.local), call.now).await?;
    }
    move_epoch(txn, scope)?;
    mounts::put_row(txn, keys::mount(scope, class, path), &row);
    Ok(reply)
}

fn change_options(row: &mut MountRow, data: &Data) -> Result<Reply, EngineError> {
    let Some(sent) = data.text_map("options")?.filter(|sent| !sent.is_empty()) else { return Ok(Reply::empty()) };
    let mut reply = Reply::empty();
    if let Some(wanted) = sent.get("version") {
        if row.kind != "kv" {
            return Err(EngineError::invalid(format!("secrets engine \"{}\" does not allow setting a version", row.kind)));
        }
        let current = row.options.as_ref().and_then(|options| options.get("version")).map_or("1", String::as_str);
        match (current, wanted.as_str()) {
            (current, wanted) if current == wanted => {}
            ("1", "2") => reply = reply.warn(UPGRADING),
            ("2", "1") => return Err(EngineError::invalid("cannot downgrade mount from version 2")),
            (_, wanted) => return Err(EngineError::invalid(format!("invalid version provided: {wanted}"))),
        }
    }
    if bug!(169) {
        row.options = Some(sent);
        return Ok(reply);
    }
    row.options.get_or_insert_default().extend(sent);
    Ok(reply)
}
