//! What the port promises, over real TLS on loopback.
