//! Which mount a request belongs to, and which of its routes answers.
//!
//! A path that nothing answers is not refused yet: whoever may not ask must not learn what is mounted.

use std::sync::Arc;

use super::Asked;
use crate::core::mounts::{Mounted, Opened, TableError};
use crate::core::{Core, Refused, SystemEngine, sys};
use crate::engine::{Access, Call, Caller, Captures, Engine, EngineError, Kind, NoRoute, Operation, Request, Route, find_route, remarks};
use crate::types::Scope;

/// Who answers.
#[derive(Clone)]
pub(super) enum By<'c> {
    /// A mounted engine.
    Engine(&'static Kind, Arc<dyn Engine>),
    /// A part of the core.
    System(&'c dyn SystemEngine),
}

/// A route that answers.
#[derive(Clone)]
pub(super) struct Target<'c> {
    pub(super) mounted: Arc<Mounted>,
    /// The path below the mount.
    pub(super) path: &'c str,
    pub(super) by: By<'c>,
    pub(super) route: &'static Route,
    pub(super) captures: Captures<'c>,
}

impl<'c> Target<'c> {
    /// What the client is to be told of the fields it sent.
    pub(super) fn remarks(&self, request: &Request) -> Vec<String> {
        let known = match (&self.by, &self.mounted.opened) {
            (By::Engine(_, engine), _) => engine.fields(self.route),
            (By::System(_), Opened::Token) => sys::fields::of_tokens(self.route.pattern),
            (By::System(_), _) => sys::fields::of_system(self.route.pattern),
        };
        remarks(known, &self.captures, &request.data.0)
    }

    /// The call of it that `asked` makes.
    pub(super) fn call<'a>(&'a self, asked: Asked<'a>, caller: &'a Caller, operation: Operation) -> Call<'a>
    where
        'c: 'a,
    {
        Call {
            request: asked.request,
            operation,
            path: self.path,
            route: self.route,
            captures: self.captures,
            caller,
            mount: &self.mounted.mount,
            now: asked.now,
        }
    }
}

/// Where a request leads.
pub(super) struct Routed<'c> {
    pub(super) mounted: Option<Arc<Mounted>>,
    found: Result<Target<'c>, Lost>,
}

/// A path that leads nowhere.
enum Lost {
    NoMount(String),
    NoRoute(NoRoute),
}

impl<'c> Routed<'c> {
    /// The route; asked for only once the caller is known to be allowed to know.
    pub(super) fn target(&self) -> Result<Target<'c>, Refused> {
        self.found.as_ref().map(Clone::clone).map_err(|lost| match lost {
            Lost::NoMount(path) => Refused::NoRoute(format!("no handler for route \"{path}\". route entry not found.")),
            Lost::NoRoute(NoRoute::Path) => EngineError::NotFound("unsupported path".to_owned()).into(),
            Lost::NoRoute(NoRoute::Operation) => EngineError::Unsupported.into(),
        })
    }

    pub(super) fn found(&self) -> Option<&Target<'c>> {
        self.found.as_ref().ok()
    }

    pub(super) fn route(&self) -> Option<&'static Route> {
        self.found().map(|target| target.route)
    }

    /// Whether a token is needed at all. A path that leads nowhere is nobody's to ask for without one.
    pub(super) fn access(&self) -> Access {
        self.route().map_or(Access::Policy, |route| route.access)
    }

    /// Who shares what the mount holds.
    pub(super) fn scope(&self) -> Scope {
        self.mounted.as_ref().map_or(Scope::Shared, |mounted| mounted.mount.scope)
    }
}

impl Core {
    pub(super) fn route<'c>(&'c self, request: &'c Request) -> Result<Routed<'c>, Refused> {
        let fresh = || {
            self.mounts.fresh_table().map_err(|error| match error {
                TableError::Sealed(_) => Refused::Sealed,
                TableError::NotActive => Refused::NoActive,
                TableError::Barrier(error) => Refused::from(EngineError::Barrier(error)),
            })
        };
        let table = if bug!(138) { self.mounts.table() } else { fresh()? };
        let path = request.path.as_str();
        #[cfg(feature = "chaos")]
        let path = if bug!(29) { resolved(path) } else { path };
        let Some((mounted, below)) = table.find(path) else {
            return Ok(Routed { mounted: None, found: Err(Lost::NoMount(path.to_owned())) });
        };
        let mounted = mounted.clone();
        let found = match &mounted.opened {
            Opened::Engine(kind, engine) => {
                find(engine.routes(), request.operation, below).map(|(route, captures)| (By::Engine(kind, engine.clone()), route, captures))
            }
            Opened::System => self.find_system(&self.system_areas, request.operation, below),
            Opened::Token => self.find_system(&self.token_areas, request.operation, below),
        };
        let found =
            found.map(|(by, route, captures)| Target { mounted: mounted.clone(), path: below, by, route, captures }).map_err(Lost::NoRoute);
        Ok(Routed { mounted: Some(mounted), found })
    }

    fn find_system<'c>(
        &'c self,
        areas: &'c [Box<dyn SystemEngine>],
        operation: Operation,
        path: &'c str,
    ) -> Result<(By<'c>, &'static Route, Captures<'c>), NoRoute> {
        if operation == Operation::Help {
            return areas
                .iter()
                .find_map(|area| find(area.routes(), operation, path).ok().map(|(route, captures)| (area, route, captures)))
                .map(|(area, route, captures)| (By::System(area.as_ref()), route, captures))
                .ok_or(NoRoute::Path);
        }
        sys::find(areas, operation, path).map(|(area, route, captures)| (By::System(area), route, captures))
    }
}

/// Planted bug 29: where a path with `..` leads, while policies look at it as it came.
#[cfg(feature = "chaos")]
fn resolved(path: &str) -> &'static str {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Box::leak(parts.join("/").into_boxed_str())
}

/// As [`find_route`]; help is found at a path whatever its operations are.
fn find<'p>(routes: &'static [Route], operation: Operation, path: &'p str) -> Result<(&'static Route, Captures<'p>), NoRoute> {
    if operation != Operation::Help {
        return find_route(routes, operation, path);
    }
    const ALL: [Operation; 5] = [Operation::Read, Operation::List, Operation::Update, Operation::Delete, Operation::Patch];
    ALL.into_iter().find_map(|operation| find_route(routes, operation, path).ok()).ok_or(NoRoute::Path)
}
