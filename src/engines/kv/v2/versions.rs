//! `delete/`, `undelete/`, `destroy/`: what happens to versions that exist.

use serde_json::Value;

use super::{load, load_config, save, version_name};
use crate::engine::{Call, EngineError, Reply, View};

fn asked_versions(call: &Call<'_>, missing: &str) -> Result<Vec<u64>, EngineError> {
    let wrong = || EngineError::invalid("Field validation failed: versions must be a list of version numbers");
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64().ok_or_else(wrong),
        Value::String(text) => text.trim().parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let numbers: Vec<u64> = match call.data().get("versions") {
        None => Vec::new(),
        Some(Value::Array(values)) => values.iter().map(number).collect::<Result<_, _>>()?,
        Some(Value::String(text)) => text
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| part.trim().parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?,
        Some(other) => vec![number(other)?],
    };
    if numbers.is_empty() { Err(EngineError::invalid(missing)) } else { Ok(numbers) }
}

/// `DELETE data/:path`.
pub(super) fn delete_newest(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    if let Some(mut record) = load(view, path)?
        && record.delete(&[record.current], call.now)
    {
        save(view, path, &record);
    }
    Ok(Reply::empty())
}

/// `POST delete/:path`.
pub(super) fn delete(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let numbers = asked_versions(call, "No version number provided")?;
    if let Some(mut record) = load(view, path)?
        && record.delete(&numbers, call.now)
    {
        save(view, path, &record);
    }
    Ok(Reply::empty())
}

/// `POST undelete/:path`.
pub(super) fn undelete(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let numbers = asked_versions(call, "No version number provided")?;
    let config = load_config(view)?;
    if let Some(mut record) = load(view, path)?
        && record.undelete(&numbers, &config, call.now)
        && !bug!(106)
    {
        save(view, path, &record);
    }
    Ok(Reply::empty())
}

/// `POST destroy/:path`.
pub(super) fn destroy(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let numbers = asked_versions(call, "no version number provided")?;
    if let Some(mut record) = load(view, path)? {
        for number in record.destroy(&numbers).into_iter().filter(|_| !bug!(75)) {
            view.delete(&version_name(path, number));
        }
        save(view, path, &record);
    }
    Ok(Reply::empty())
}
