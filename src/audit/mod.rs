//! Audit devices: who asked for what, before it is answered.
