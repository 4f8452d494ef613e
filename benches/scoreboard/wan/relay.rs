//! Listens where one side dials, and leads each connection over the line to where it wants to go.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::pump::{Wire, pump};

/// A line with any number of doors, each leading to one address.
pub struct Relay {
    pub wire: Arc<Wire>,
    /// Open connections, both ends of each.
    open: Arc<Mutex<Vec<[TcpStream; 2]>>>,
}

impl Relay {
    pub fn new() -> Self {
        Self { wire: Arc::new(Wire::new()), open: Arc::default() }
    }

    /// Opens a door to `far`; returns the address to dial instead.
    ///
    /// # Errors
    /// If there is no port.
    pub fn door(&self, far: &str) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for the relay")?;
        let near = listener.local_addr()?.to_string();
        let (wire, open, far) = (Arc::clone(&self.wire), Arc::clone(&self.open), far.to_owned());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // While the line is cut, the loopback still accepts: what is sent then waits with the rest. Nobody home: hang up.
                let _ = join(&wire, &open, near, &far);
            }
        });
        Ok(near)
    }

    /// Breaks all connections, as a router does that restarts.
    pub fn hang_up(&self) {
        for end in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..).flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn join(wire: &Arc<Wire>, open: &Mutex<Vec<[TcpStream; 2]>>, near: TcpStream, far: &str) -> std::io::Result<()> {
    let far = TcpStream::connect(far)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|ends| ends[0].peer_addr().is_ok() && ends[1].peer_addr().is_ok());
        open.push([near.try_clone()?, far.try_clone()?]);
    }
    pump(wire, 0, near.try_clone()?, far.try_clone()?);
    pump(wire, 1, far, near);
    Ok(())
}
