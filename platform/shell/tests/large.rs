//! As long a text as is read, of one piece again and again: no stack overflows, and no time is spent
//! that grows with more than the text. What is longer is said to be unread.

#![cfg(target_os = "linux")]

use chaperone_shell::{Dialect, LONGEST, read};
use rustix::time::{ClockId, clock_gettime};

/// What one text may take of the processor, in milliseconds, without optimization: the slowest takes
/// a few hundred, one that was quadratic took twenty thousand.
const MOST: i64 = 5_000;

const CMD: [&str; 32] = [
    "if a==a ",
    "(",
    "for %i in (a) do ",
    "call ",
    "@(",
    "if exist a (",
    "start ",
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
    "for /f %i in ('",
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
    "call start ",
];

const POWERSHELL: [&str; 94] = [
    "(",
    "{",
    "$(",
    "@(",
    "@{a=",
    "\"$(",
    "& {",
    "if (",
    "$a = ",
    "[",
    "(1)[",
    "f(",
    "!(",
    "$a[",
    "if (1) {",
    "@\"\n$(",
    "return (",
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
    "$a.b(",
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
    "@{",
    "a>b ",
    "switch (1) {",
    "function f {",
    "elseif",
    "if(1){}",
    "if(1){}else ",
    "if(1){}elseif(1){}",
    "$env:PATH=1;",
    "iex 'a';",
    "iex \"iex ",
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
    "param(",
    "function a{};a;",
    "trap{",
    "try{}catch{}",
    "[a]::b",
    "%{",
    "$a=$a;",
    "a<#",
    "&",
    "&a",
    ".a",
    ". ",
    "&&",
    "a -b:",
    "a -b:(",
    "a -b:c,",
    "$a?.b",
    "[a[",
    "class A{",
    "data{",
    "exec ",
];

const BASH: [&str; 12] =
    ["(", "$(", "`", "{ ", "\"$(", "${a:-", "$((", "if ", "a;", "a|", "eval ", "bash -c '"];

fn processor() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

fn hold(pieces: &[&str], dialect: Dialect) {
    for piece in pieces {
        let text = piece.repeat(LONGEST / piece.len());
        let before = processor();
        let reading = read(&text, dialect);
        let taken = processor() - before;
        assert!(taken < MOST, "{piece:?} takes {taken} ms");
        let places = reading.commands.iter().map(|found| &found.at);
        for at in places.chain(reading.unread.iter().map(|unread| &unread.at)) {
            assert!(text.get(at.clone()).is_some(), "{at:?} of {piece:?}");
        }
    }
    let reading = read(&"(".repeat(75_000), dialect);
    assert!(reading.commands.is_empty() && reading.unread.len() == 1, "{reading:?}");
    let reading = read(&"(".repeat(LONGEST), dialect);
    assert!(!reading.unread.is_empty());
}

#[test]
fn cmd() {
    hold(&CMD, Dialect::Cmd);
}

#[test]
fn powershell() {
    hold(&POWERSHELL, Dialect::PowerShell);
}

#[test]
fn bash() {
    hold(&BASH, Dialect::Bash);
}
