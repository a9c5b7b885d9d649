//! Upload budgets through real sessions: what stays within one arrives, what does not ends with its
//! reason, and nothing follows.

use super::{Tier, connections, in_both_tiers};
use crate::place::{Place, text};
use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A server that takes what it is sent, and how much that was.
fn server() -> Result<(u16, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let received = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            // What is ended in the middle needs no answer.
            thread::spawn(move || take(stream, &count));
        }
    });
    Ok((port, received))
}

fn take(mut stream: TcpStream, received: &AtomicU64) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        received.fetch_add(reader.read_line(&mut line)? as u64, Ordering::SeqCst);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = reader.take(length);
    let mut buffer = [0; 4096];
    loop {
        let bytes = body.read(&mut buffer)?;
        received.fetch_add(bytes as u64, Ordering::SeqCst);
        if bytes == 0 {
            break;
        }
    }
    Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")?)
}

#[test]
fn what_exceeds_a_budget_ends_with_its_reason_and_nothing_more_is_sent_to_the_host() -> Result<()> {
    let place = Place::new()?;
    let (port, received) = server()?;
    let (url, at) = (format!("http://127.0.0.1:{port}/"), format!("127.0.0.1:{port}"));
    let sentence =
        format!("The upload budget is spent: no more than 64 KiB may be sent to what {at} names");
    for way in ["--noproxy ''", "--noproxy '' --proxytunnel"] {
        let script = format!(
            "exec 2>&1; head -c 20000 /dev/zero > few; head -c 2000000 /dev/zero > many; \
             put() {{ curl -sS -H Expect: {way} {url} -T $1; }}; put few; put many; \
             echo; echo then; curl -sS --noproxy '' {url}"
        );
        let policy = format!("[network]\nmode = \"proxy\"\nallow = [\"{at}\"]\n");
        place.configure(&policy)?;
        in_both_tiers(&place, None, &script, |tier, done| {
            let said = text(&done.stdout);
            assert_eq!(said, "hello\nhello\n\nthen\nhello\n", "{tier:?}, {way}");
            Ok(())
        })?;
        assert!(received.swap(0, Ordering::SeqCst) > 4_000_000);
        place.configure(&format!("{policy}upload = [\"{at} 64 KiB per session\"]\n"))?;
        in_both_tiers(&place, None, &script, |tier, done| {
            let said = text(&done.stdout);
            let (first, then) = said.split_once("then\n").unwrap_or_default();
            assert_eq!(said.matches("hello").count(), 1, "{tier:?}, {way}: {said}");
            assert!(first.starts_with("hello\n"), "{tier:?}, {way}: {said}");
            assert!(then.contains(&sentence), "{tier:?}, {way}: {said}");
            assert!(then.contains("config.toml:4"), "{tier:?}, {way}: {said}");
            let sent = received.swap(0, Ordering::SeqCst);
            assert!((20_000..=65_536).contains(&sent), "{tier:?}, {way}: {sent}");
            Ok(())
        })?;
    }
    let events = connections(&place)?;
    let rule = format!("network.upload {at} 64 KiB per session");
    let told = |end: &str| {
        let is_it = |event: &&serde_json::Value| {
            event["rule"] == rule.as_str()
                && event["decision"] == "deny"
                && event["reason"].as_str().is_some_and(|reason| reason.ends_with(end))
        };
        events.iter().filter(is_it).count()
    };
    assert_eq!(told("and has been ended."), 4, "{events:?}");
    assert_eq!(told("in one session."), 4, "{events:?}");

    let why = place.chaperone(["why", &at])?.output()?;
    assert!(text(&why.stdout).contains("No more than 64 KiB may be sent"), "{}", text(&why.stdout));
    Ok(())
}

#[test]
fn a_relay_keeps_to_a_budget_and_where_nothing_could_count_there_is_none() -> Result<()> {
    let place = Place::new()?;
    let (port, received) = server()?;
    let at = format!("127.0.0.1:{port}");
    let script = format!(
        "exec 2>&1; head -c 20000 /dev/zero > few; head -c 2000000 /dev/zero > many; \
         put() {{ curl -sS -H Expect: --noproxy '*' http://{at}/ -T $1 || echo failed; }}; \
         put few; put many; put few"
    );
    let policy = format!("[network]\nmode = \"none\"\nallow = [\"{at}\"]\n");
    place.configure(&policy)?;
    in_both_tiers(&place, None, &script, |tier, done| {
        assert_eq!(text(&done.stdout), "hello\nhello\nhello\n", "{tier:?}");
        Ok(())
    })?;
    assert!(received.swap(0, Ordering::SeqCst) > 4_000_000);
    place.configure(&format!("{policy}upload = [\"{at} 64 KiB per session\"]\n"))?;
    in_both_tiers(&place, None, &script, |tier, done| {
        let said = text(&done.stdout);
        let (arrived, most) = match tier {
            Tier::Full => (said.starts_with("hello\n"), 20_000..=65_536),
            // The session would dial the host itself.
            Tier::Reduced => (!said.contains("hello"), 0..=0),
        };
        assert!(arrived && said.ends_with("failed\n"), "{tier:?}: {said}");
        let sent = received.swap(0, Ordering::SeqCst);
        assert!(most.contains(&sent), "{tier:?}: {sent}");
        Ok(())
    })
}
