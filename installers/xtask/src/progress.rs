//! What a person sees while long steps run: one live line on a terminal, plain lines elsewhere;
//! and the log that each step's commands write into.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often plain output says what still runs.
const REMIND: Duration = Duration::from_secs(30);
/// How often the live line is drawn again.
const REDRAW: Duration = Duration::from_millis(200);
/// How much of a failed step's output is printed; the whole is in its log.
const TAIL_LINES: usize = 300;

/// The one place that prints while steps run, from whichever thread.
pub(crate) struct Screen {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    live: bool,
    stopped: AtomicBool,
    wake: Condvar,
    state: Mutex<State>,
}

struct State {
    running: Vec<Running>,
    finished: usize,
    total: usize,
    reminded: Instant,
}

struct Running {
    name: String,
    log: PathBuf,
    since: Instant,
}

/// How a line begins: what became of the step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Passed,
    Ready,
    Failed,
    NotRun,
}

impl Screen {
    pub(crate) fn new(total: usize) -> Self {
        let shared = Arc::new(Shared {
            live: std::io::stdout().is_terminal() && std::env::var_os("CI").is_none(),
            stopped: AtomicBool::new(false),
            wake: Condvar::new(),
            state: Mutex::new(State {
                running: Vec::new(),
                finished: 0,
                total,
                reminded: Instant::now(),
            }),
        });
        let ticking = Arc::clone(&shared);
        let ticker = thread::spawn(move || {
            let mut state = ticking.lock();
            while !ticking.stopped.load(Ordering::Relaxed) {
                ticking.draw(&mut state);
                state = ticking
                    .wake
                    .wait_timeout(state, REDRAW)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        });
        Self { shared, ticker: Some(ticker) }
    }

    /// Says that a step runs, until `finish` is called for it.
    pub(crate) fn start(&self, name: &str, log: &Path) {
        self.shared.lock().running.push(Running {
            name: name.to_owned(),
            log: log.to_path_buf(),
            since: Instant::now(),
        });
    }

    /// Prints a step's closing line, and for a failed one its output.
    pub(crate) fn finish(&self, mark: Mark, name: &str, detail: &str) {
        let mut state = self.shared.lock();
        let ran =
            state.running.iter().position(|r| r.name == name).map(|i| state.running.remove(i));
        state.finished += 1;
        self.shared.clear();
        let took = ran.as_ref().map(|r| elapsed(r.since.elapsed())).unwrap_or_default();
        println!("{} {name:13} {took:>7}  {detail}", self.shared.word(mark));
        if let (Mark::Failed, Some(ran)) = (mark, ran) {
            println!("{}", output_of(&ran.log));
        }
        self.shared.draw(&mut state);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // It only prints; if it panicked there is nothing to save.
            let _ = ticker.join();
        }
        self.shared.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self) {
        if self.live {
            print!("\r\x1b[K");
            flush();
        }
    }

    fn draw(&self, state: &mut State) {
        if state.running.is_empty() {
            return;
        }
        let running: Vec<String> = state
            .running
            .iter()
            .map(|r| format!("{} {}", r.name, elapsed(r.since.elapsed())))
            .collect();
        let running = running.join(", ");
        if self.live {
            let hint = state.running.first().map(|r| last_line(&r.log)).unwrap_or_default();
            // Without wrapping, a narrow terminal cuts the line instead of scrolling.
            print!(
                "\r\x1b[K\x1b[?7l[{} of {}] {running}  {hint}\x1b[?7h",
                state.finished, state.total
            );
            flush();
        } else if state.reminded.elapsed() >= REMIND {
            state.reminded = Instant::now();
            println!(".... [{} of {}] still running: {running}", state.finished, state.total);
            flush();
        }
    }

    fn word(&self, mark: Mark) -> String {
        let (word, colour) = match mark {
            Mark::Passed => ("ok  ", 32),
            Mark::Ready => ("have", 36),
            Mark::Failed => ("FAIL", 31),
            Mark::NotRun => ("none", 33),
        };
        if self.live && std::env::var_os("NO_COLOR").is_none() {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }
}

/// A step's commands and what they print.
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Runs a command to its end with everything it prints in the log.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let shown = shown(command);
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "$ {shown}")?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command
            .status()
            .with_context(|| format!("could not start {:?}", command.get_program()))?;
        if !status.success() {
            bail!("`{shown}` ended with {status}");
        }
        Ok(())
    }

    /// Runs a command and gives what it printed on standard output.
    pub(crate) fn output(&self, command: &mut Command) -> Result<Vec<u8>> {
        let shown = shown(command);
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "$ {shown}")?;
        let out = command
            .stdin(Stdio::null())
            .stderr(file)
            .output()
            .with_context(|| format!("could not start {:?}", command.get_program()))?;
        if !out.status.success() {
            bail!("`{shown}` ended with {}", out.status);
        }
        Ok(out.stdout)
    }

    /// Everything so far, for reading results out of it.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(plain(&String::from_utf8_lossy(&fs::read(&self.path)?)))
    }
}

/// A duration as people say it: `4.2s`, `3m07s`.
pub(crate) fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains([' ', '(', '*', '&', '|']) { format!("'{word}'") } else { word.into() }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn flush() {
    // Nobody to tell when standard output itself is gone.
    let _ = std::io::stdout().flush();
}

fn output_of(log: &Path) -> String {
    let text = match fs::read(log) {
        Ok(bytes) => plain(&String::from_utf8_lossy(&bytes)),
        Err(error) => return format!("     (no output: {}: {error})", log.display()),
    };
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    let mut shown = String::new();
    if skipped > 0 {
        shown = format!("     | … {skipped} lines before these are in {}\n", log.display());
    }
    for line in &lines[skipped..] {
        shown.push_str("     | ");
        shown.push_str(line);
        shown.push('\n');
    }
    shown
}

fn last_line(log: &Path) -> String {
    let tail = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(400)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = plain(&tail().unwrap_or_default());
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default().to_owned()
}

/// Text without colours and other terminal sequences.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next() == Some('[') {
                    for c in chars.by_ref() {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\n' | '\t' => kept.push(c),
            c if c.is_control() => {}
            c => kept.push(c),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_cursor_moves_leave_only_their_text() {
        assert_eq!(plain("\x1b[1;32mok\x1b[0m\r\x1b[K done\n"), "ok done\n");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(elapsed(Duration::from_millis(4240)), "4.2s");
        assert_eq!(elapsed(Duration::from_secs(59)), "59s");
        assert_eq!(elapsed(Duration::from_secs(187)), "3m07s");
    }
}
