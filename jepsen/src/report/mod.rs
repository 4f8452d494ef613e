//! One page that shows a run: verdicts, latencies, faults, positions.
