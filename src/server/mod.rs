//! Configuration, wiring, start and stop: the only place that knows everyone.
