//! Links the part of the compiler's runtime that unwinds the stack into the command: as a library
//! of its own, `libgcc_s`, it is searched for, mapped and initialised at each start.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" || env::var("HOST") != env::var("TARGET") {
        return;
    }
    // The linker's driver knows where it lies; where it does not, the library is used.
    let found = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output();
    let path = found.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    if let Ok(path) = path
        && let Some(folder) = Path::new(&path).parent().filter(|_| Path::new(&path).is_absolute())
    {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
