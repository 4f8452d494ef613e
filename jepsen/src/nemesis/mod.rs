//! What goes wrong meanwhile: one file per kind of fault.
