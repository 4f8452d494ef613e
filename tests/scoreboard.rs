//! The scoreboard's instruments are right: a lost write is noticed, a quantile is the right one, an answer ends where it ends; the line
//! between clusters, lags from moments, axes of the page.
//!
//! The parts are the bench's own files. Not here: what they measure (`make bench`).
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "tests, of some functions of each file")]

#[path = "../benches/scoreboard/page/axis.rs"]
mod axis;
#[path = "../benches/scoreboard/load/framing.rs"]
mod framing;
#[path = "../benches/scoreboard/load/latencies.rs"]
mod latencies;
#[path = "../benches/scoreboard/load/ledger.rs"]
mod ledger;
#[path = "../benches/scoreboard/wan/line.rs"]
mod line;
#[path = "../benches/scoreboard/wan/pump.rs"]
mod pump;
#[path = "../benches/scoreboard/wan/relay.rs"]
mod relay;
#[path = "../benches/scoreboard/lag/samples.rs"]
mod samples;

/// What the axes ask of the scoreboard's table.
mod table {
    pub fn short(value: f64) -> String {
        value.to_string()
    }
}

type Moments = Vec<(u64, u64)>;

mod line_tests {
    use std::time::Duration;

    use super::line::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_come_out_after_the_delay_and_queue_for_the_rate() {
        let line = Line { delay: 20 * MS, bytes_per_s: 1_000_000, loss: 0.0 };
        let mut direction = Direction::new(1);
        let first = direction.arrival(&line, 5 * MS, 10_000, Duration::ZERO);
        assert_eq!(first, 35 * MS);
        // Another connection waits for the same rate.
        assert_eq!(direction.arrival(&line, 6 * MS, 1000, Duration::ZERO), 36 * MS);
        // A line that was idle is free at once.
        assert_eq!(direction.arrival(&line, 100 * MS, 1000, first), 121 * MS);
    }

    #[test]
    fn a_loss_holds_up_what_comes_behind_it() {
        let line = Line { delay: 20 * MS, bytes_per_s: 0, loss: 1.0 };
        let mut direction = Direction::new(1);
        let held = direction.arrival(&line, Duration::ZERO, 100, Duration::ZERO);
        assert_eq!((held, direction.stalls), (260 * MS, 1));
        assert_eq!(direction.arrival(&Line { loss: 0.0, ..line }, MS, 100, held), held);
    }

    #[test]
    fn losses_are_as_frequent_as_asked() {
        let line = Line { loss: 0.01, ..Line::default() };
        let mut direction = Direction::new(7);
        for _ in 0..100_000 {
            direction.arrival(&line, Duration::ZERO, 1, Duration::ZERO);
        }
        assert!((900..1100).contains(&direction.stalls), "{}", direction.stalls);
    }
}

mod relay_tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::line::Line;
    use super::relay::*;

    /// A server that sends back what it gets, and a connection to it over `relay`.
    fn echo(relay: &Relay) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut back = stream.try_clone().unwrap();
            let _ = std::io::copy(&mut stream, &mut back);
            let _ = back.shutdown(Shutdown::Write);
        });
        TcpStream::connect(relay.door(&far).unwrap()).unwrap()
    }

    fn there_and_back(stream: &mut TcpStream) -> Duration {
        let start = Instant::now();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        start.elapsed()
    }

    #[test]
    fn what_goes_in_comes_out_however_much_it_is() {
        let relay = Relay::new();
        relay.wire.state().line = Line { delay: Duration::from_millis(3), bytes_per_s: 0, loss: 0.01 };
        let mut stream = echo(&relay);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut sender = stream.try_clone().unwrap();
        let copy = sent.clone();
        let sending = std::thread::spawn(move || {
            sender.write_all(&copy).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        sending.join().unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        assert_eq!(relay.wire.state().bytes, [sent.len() as u64; 2]);
    }

    #[test]
    fn a_delay_counts_both_ways_and_may_change_while_a_connection_lives() {
        let relay = Relay::new();
        let mut stream = echo(&relay);
        there_and_back(&mut stream);
        relay.wire.state().line.delay = Duration::from_millis(20);
        assert!(there_and_back(&mut stream) >= Duration::from_millis(40));
    }

    #[test]
    fn a_cut_line_is_silent_until_it_is_mended_and_loses_nothing() {
        let relay = Relay::new();
        let mut stream = echo(&relay);
        there_and_back(&mut stream);
        relay.wire.cut(true);
        stream.write_all(b"ping").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(stream.read_exact(&mut [0; 4]).is_err());
        relay.wire.cut(false);
        stream.set_read_timeout(None).unwrap();
        let mut got = [0; 4];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ping");
    }

    #[test]
    fn a_hang_up_is_seen_on_both_sides() {
        let relay = Relay::new();
        let mut stream = echo(&relay);
        there_and_back(&mut stream);
        relay.hang_up();
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

mod samples_tests {
    use super::samples::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_marker_is_visible_no_later_than_the_next_that_was_seen() {
        let acknowledged = vec![(1, MS), (2, 2 * MS), (4, 4 * MS), (5, 5 * MS)];
        let seen = vec![(2, 7 * MS), (3, 8 * MS), (4, 9 * MS)];
        let lags = Lags::pair(&acknowledged, &seen);
        assert_eq!(lags.samples, [(MS, 6000), (2 * MS, 5000), (4 * MS, 5000)]);
        assert_eq!(lags.unseen, 1);
    }

    #[test]
    fn one_that_was_visible_before_its_acknowledgement_has_no_lag() {
        assert_eq!(Lags::pair(&vec![(1, 5 * MS)], &vec![(1, 4 * MS)]).samples, [(5 * MS, 0)]);
    }

    #[test]
    fn the_truth_at_a_moment_is_the_age_of_the_oldest_that_cannot_be_seen() {
        let lags = Lags::pair(&vec![(1, MS), (2, 3 * MS), (3, 20 * MS)], &vec![(2, 10 * MS)]);
        let at = |ms: u64| lags.behind_us(ms * MS);
        assert_eq!([at(0), at(4), at(9), at(11), at(22)], [0, 3000, 8000, 0, 2000]);
    }

    #[test]
    fn counting_keeps_three_digits_and_never_shortens() {
        let lags = Lags::pair(&vec![(1, 0), (2, 0), (3, 0)], &vec![(1, 123_000), (2, 1_234_000), (3, 98_701_000)]);
        assert_eq!(lags.counts(), [(123, 1), (1240, 1), (98_800, 1)]);
    }
}

mod axis_tests {
    use super::axis::*;

    fn check(spread: Spread, values: &[f64], ticks: &[f64]) {
        let axis = Axis::of(spread, values.iter().copied(), 100.0);
        let found: Vec<f64> = axis.ticks().into_iter().map(|(value, _)| (value * 1e9).round() / 1e9).collect();
        assert_eq!(found, ticks, "{spread:?} {values:?}");
        assert!(values.iter().all(|value| (0.0..=100.0).contains(&axis.place(*value))));
    }

    #[test]
    fn an_axis_holds_all_values_between_round_ends() {
        check(Spread::Even, &[3.0, 9.2], &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        check(Spread::Even, &[], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(Spread::Powers, &[1.1, 48.0], &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        check(Spread::Powers, &[0.0, 7.0], &[5.0, 10.0]);
        check(Spread::Nines, &[], &[0.5, 0.9, 0.99]);
        check(Spread::Nines, &[0.2, 0.999], &[0.5, 0.9, 0.99, 0.999]);
    }

    #[test]
    fn nines_stand_equally_far_apart() {
        let axis = Axis::of(Spread::Nines, [0.9999].into_iter(), 100.0);
        let places: Vec<f64> = [0.0, 0.9, 0.99, 0.999, 0.9999].map(|share| axis.place(share).round()).to_vec();
        assert_eq!(places, [0.0, 25.0, 50.0, 75.0, 100.0]);
    }
}

mod load_tests {
    use std::time::Duration;

    use super::framing::{Framing, head, joined};
    use super::latencies::{Latencies, quantile};
    use super::ledger::{Entry, Ledger};

    #[test]
    fn a_lost_write_is_noticed_and_a_lost_answer_is_not_one() {
        // Ten sent, eight acknowledged, the ninth attempt last.
        let entry = Entry { attempts: 10, acknowledged: 8, last_acknowledged: 9, contended: false };
        let check =
            |attempt, versions, agrees| assert_eq!(entry.agrees(attempt, versions), agrees, "attempt {attempt}, {versions} versions");
        check(9, 8, true);
        // The tenth was carried out, its answer lost in the crash.
        check(10, 9, true);
        check(10, 10, true);
        // The last acknowledged is gone.
        check(8, 8, false);
        // The newest is there, but one before it is missing.
        check(9, 7, false);
        check(10, 7, false);
        // More than was ever sent.
        check(11, 10, false);
        check(10, 11, false);
        let contended = Entry { contended: true, ..entry };
        assert!(contended.agrees(3, 8), "written at once, any may be the last");
        assert!(!contended.agrees(3, 7), "but none may be missing");
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        assert_eq!(Ledger::read(&path).unwrap(), Ledger::default());
        let written =
            Ledger { keys: vec![Entry { attempts: 3, acknowledged: 2, last_acknowledged: 2, contended: true }], tokens: vec!["a".into()] };
        written.write(&path).unwrap();
        assert_eq!(Ledger::read(&path).unwrap(), written);
    }

    #[test]
    fn quantiles_are_those_of_the_numbers() {
        let counts = [(10, 50), (20, 49), (5000, 1)];
        let check = |share, expected| assert_eq!(quantile(&counts, share), Some(expected), "{share}");
        check(0.0, 10.0);
        check(0.5, 10.0);
        check(0.51, 20.0);
        check(0.99, 20.0);
        check(0.991, 5000.0);
        check(1.0, 5000.0);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn latencies_keep_three_digits_and_every_count() {
        let mut latencies = Latencies::new();
        for micros in [0, 1, 150, 150, 12_345, 700_000_000] {
            latencies.record(Duration::from_micros(micros));
        }
        let counts = latencies.counts();
        assert_eq!(latencies.count(), 6);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 6);
        assert_eq!(&counts[..2], &[(1, 2), (150, 2)]);
        assert!((12_330..12_360).contains(&counts[2].0), "{counts:?}");
        assert!(counts[3].0 >= 599_000_000, "the longest is kept as the longest: {counts:?}");
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let sized = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 12";
        assert_eq!(head(sized.as_bytes()), Some((200, Framing::Bytes(12))));
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\ndate: x"), Some((204, Framing::Bytes(0))));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), Some((200, Framing::Chunks)));
        assert_eq!(head(b"garbage"), None);
        assert_eq!(joined(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n").as_deref(), Some(&b"abc0123456789"[..]));
        assert_eq!(joined(b"3\r\nab"), None);
    }
}
