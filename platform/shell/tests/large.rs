//! As long a text as is read, of one piece again and again: no stack overflows, and no time is spent
//! that grows with more than the text. What is longer is said to be unread.

#![cfg(target_os = "linux")]

use chaperone_shell::{Dialect, LONGEST, read};
use rustix::time::{ClockId, clock_gettime};

/// What one text may take of the processor, in milliseconds, without optimization: the slowest takes
/// a few hundred, one that was quadratic took twenty thousand.
const MOST: i64 = 5_000;

/// What opens and never closes: never read as if it were nothing.
const CMD_OPEN: &[&str] = &[
    "if a==a ",
    "(",
    "for %i in (a) do ",
    "call ",
    "@(",
    "if exist a (",
    "start ",
    "call start ",
    "for /f %i in ('",
];

const CMD: &[&str] = &[
    "%",
    "%X%",
    "% ",
    "!",
    "^",
    "\"",
    "a ",
    "a&",
    "a|",
    "(a)&",
    "set PATH=a&",
    "a>b ",
    "\\\"",
    "if not ",
    "/i ",
    "for ",
    "rem ^\n",
    "cmd /c ",
    "cmd /c \"",
    "a/",
    "set x%",
    ") else ",
    "if a==a (a) else ",
];

const POWERSHELL_OPEN: &[&str] = &[
    "(",
    "{",
    "$(",
    "@(",
    "@{",
    "@{a=",
    "\"$(",
    "& {",
    "if (",
    "if (1) {",
    "$a = ",
    "[",
    "[a[",
    "(1)[",
    "f(",
    "!(",
    "$a[",
    "$a.b(",
    "@\"\n$(",
    "return (",
    "switch (1) {",
    "switch (1) { {",
    "function f {",
    "param(",
    "trap{",
    "%{",
    "class A{",
    "data{",
    "a -b:(",
    "1,(",
    "iex \"iex ",
];

const POWERSHELL: &[&str] = &[
    "a ",
    "a;",
    "a|",
    "\n",
    "\n#",
    "<##>",
    "a -b ",
    "a,",
    "'",
    "''",
    "\"\"",
    "\"$a\"",
    "`",
    "`\n",
    "$a",
    "$a ",
    "$a.b",
    "$a.b()",
    "[a]",
    "-",
    "--",
    "- ",
    "-not ",
    "!",
    "1",
    "1+",
    "1,",
    "1.",
    "..",
    "@a",
    "a>b ",
    "elseif",
    "if(1){}",
    "if(1){}else ",
    "if(1){}elseif(1){}",
    "$env:PATH=1;",
    "iex 'a';",
    "a\n|",
    "a&&",
    "a ||",
    "\n|",
    "@'\n",
    "\"$(a)\"",
    "\"$(\"a\")\"",
    "\"`\"",
    "\"\"\"",
    "::a",
    ":a ",
    "[a](",
    "[a=",
    "[CmdletBinding()]",
    "function a{};a;",
    "try{}catch{}",
    "[a]::b",
    "$a=$a;",
    "a<#",
    "&",
    "&a",
    ".a",
    ". ",
    "&&",
    "a -b:",
    "a -b:c,",
    "$a?.b",
    "exec ",
];

const BASH_OPEN: &[&str] = &["(", "$(", "`a $(", "{ ", "\"$(", "${a:-", "$((", "if ", "bash -c '"];

const BASH: &[&str] = &["`", "a;", "a|", "eval "];

fn processor() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

fn hold(open: &[&str], others: &[&str], dialect: Dialect) {
    for piece in open.iter().chain(others) {
        let text = piece.repeat(LONGEST / piece.len());
        let before = processor();
        let reading = read(&text, dialect);
        let taken = processor() - before;
        assert!(taken < MOST, "{piece:?} takes {taken} ms");
        let places = reading.commands.iter().map(|found| &found.at);
        for at in places.chain(reading.unread.iter().map(|unread| &unread.at)) {
            assert!(text.get(at.clone()).is_some(), "{at:?} of {piece:?}");
        }
        assert!(!open.contains(piece) || !reading.unread.is_empty(), "{piece:?}");
    }
    let reading = read(&"(".repeat(75_000), dialect);
    assert!(reading.commands.is_empty() && reading.unread.len() == 1, "{reading:?}");
}

#[test]
fn cmd() {
    hold(CMD_OPEN, CMD, Dialect::Cmd);
}

#[test]
fn powershell() {
    hold(POWERSHELL_OPEN, POWERSHELL, Dialect::PowerShell);
}

#[test]
fn bash() {
    hold(BASH_OPEN, BASH, Dialect::Bash);
}
