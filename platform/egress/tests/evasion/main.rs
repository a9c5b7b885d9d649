//! Ways around the proxy, each by its exact bytes, and beside it what the same bytes do where they
//! are honest. None of them may reach a host that the policy does not allow.

#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

mod cases;
mod http2;
mod requests;
mod world;

use cases::{Case, Ends, cases};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use world::{REACHED, READING, RULES, World};

/// Longer than the proxy is patient with a client that does not go on.
const PATIENCE: Duration = Duration::from_secs(25);

#[test]
fn none_of_these_reaches_what_is_denied_and_their_honest_twins_arrive() {
    let world = World::new(RULES);
    let cases = cases(&world);
    let negative = cases.iter().filter(|case| case.ends != Ends::Reaches).count();
    assert!(negative >= 80, "{negative}");
    hold(&world, cases);
}

#[test]
fn no_request_gets_around_a_rule_about_requests() {
    let world = World::new(RULES);
    hold(&world, requests::ruled(&world));
}

#[test]
fn where_requests_only_read_nothing_is_written_and_nothing_unseen() {
    let world = World::new(READING);
    hold(&world, requests::reading(&world));
}

/// Makes all cases at once, and holds each to its end.
fn hold(world: &World, cases: Vec<Case>) {
    let told: Vec<(Case, String)> = thread::scope(|scope| {
        let made: Vec<_> = cases
            .into_iter()
            .map(|case| {
                scope.spawn(|| {
                    let said = make(world, &case);
                    (case, said)
                })
            })
            .collect();
        made.into_iter().map(|case| case.join().unwrap()).collect()
    });
    let wrong: Vec<String> = told
        .iter()
        .filter(|(case, said)| !holds(case, said))
        .map(|(case, said)| format!("{}: {:?}\n{said}\n", case.name, case.ends))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.escapes(), Vec::<String>::new());
}

fn holds(case: &Case, said: &str) -> bool {
    match case.ends {
        Ends::Reaches => said.contains(REACHED),
        Ends::Refused(how) => !said.contains(REACHED) && said.contains(how),
        // Some of what it says is honest, and the rest went nowhere: the servers say whether.
        Ends::Unseen => true,
    }
}

/// Sends the case's bytes, and gives what comes back until the proxy has no more to say.
fn make(world: &World, case: &Case) -> String {
    let mut stream = TcpStream::connect(world.proxy).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in case.bytes.chunks(case.pieces) {
        // The proxy may have closed before the end of it.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while Instant::now() < until {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let text = String::from_utf8_lossy(&said);
                if text.contains(REACHED) || text.contains("chaperone: ") {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    said.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}
