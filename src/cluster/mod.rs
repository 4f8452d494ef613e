//! Between nodes and clusters: gRPC over mutual TLS.
