//! Shared set-up of this folder's tests: a real port on loopback with services that answer what they are told to.
