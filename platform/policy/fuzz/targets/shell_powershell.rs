//! Texts for PowerShell: every place that the reading names stands in the text.
#![no_main]

use chaperone_shell::Dialect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fuzz::shell(text, Dialect::PowerShell));
