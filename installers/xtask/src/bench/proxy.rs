//! What a session's proxy costs: how fast one large stream passes and what a round trip takes longer,
//! beside socat, tinyproxy and srt's proxy where they are installed, and what a thousand tunnels weigh.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Bar, Bars};
use crate::project::Project;

/// How fast one stream passes, as a part of what passes through socat.
const RATE_BAR: f64 = 0.9;
/// Microseconds that a round trip may take longer than without the proxy.
const TRIP_BAR: f64 = 150.0;
/// MiB that a thousand tunnels may add to the proxy, however much they carry.
const WEIGHT_BAR: f64 = 32.0;

/// One line of the egress crate's example `speed`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    /// Medians.
    Way {
        way: String,
        mib_per_s: f64,
        trip_us: f64,
        connection_us: f64,
    },
    Tunnels {
        tunnels: u32,
        busy: u32,
        mib: u32,
        seconds: f64,
        kib_before: f64,
        kib_most: f64,
    },
}

pub(super) fn proxy(project: &Project, bars: &mut Bars) -> Result<()> {
    let mut cargo = project.command("cargo");
    cargo.args(["run", "--release", "--locked", "--quiet", "-p", "chaperone-egress"]);
    let out = cargo.args(["--example", "speed"]).output().context("could not start cargo")?;
    if !out.status.success() {
        bail!("the example speed failed:\n{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    println!("\nA stream of 1 GiB, a round trip and a connection up to its first byte (medians)\n");
    let mut ways = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        match serde_json::from_str(line).context("the output of speed")? {
            Line::Way { way, mib_per_s, trip_us, connection_us } => {
                println!(
                    "  {way:12} {mib_per_s:8.0} MiB/s {trip_us:8.1} µs {connection_us:8.1} µs"
                );
                ways.push((way, mib_per_s, trip_us));
            }
            Line::Tunnels { tunnels, busy, mib, seconds, kib_before, kib_most } => {
                let added = (kib_most - kib_before) / 1024.0;
                println!(
                    "\n  {tunnels} tunnels, of which {busy} carry {mib} MiB in {seconds:.2} s: \
                     {added:.1} MiB more than before"
                );
                let weight = (Bar::AtMost, WEIGHT_BAR, "MiB");
                bars.hold(format!("memory for {tunnels} tunnels, {busy} busy"), added, weight);
            }
        }
    }
    let of = |name: &str| ways.iter().find(|(way, ..)| way == name);
    let (Some((_, rate, trip)), Some((.., direct))) = (of("chaperone"), of("direct")) else {
        bail!("the example speed does not say how fast the proxy is");
    };
    bars.hold("added by the proxy to a round trip", trip - direct, (Bar::AtMost, TRIP_BAR, "µs"));
    match of("socat") {
        Some((_, socat, _)) => {
            let rate = rate / socat;
            bars.hold(
                "a stream through the proxy, to socat's",
                rate,
                (Bar::AtLeast, RATE_BAR, "×"),
            );
        }
        None => bail!("socat is not installed, to which the proxy is compared"),
    }
    Ok(())
}
