//! Programs that the policy denies: `touch` by a rule, `denied/tool` as a file.
//!
//! A rule goes by what a command is; a copy under another name is another command, and has still
//! no file and no host beyond the plan's. A denied file cannot even be copied.

use crate::Told::{Ran, Secret};
use crate::attempts::files::race;
use crate::sys::{Got, NOTHING, by_descriptor, call, open, owned, run, shell, text, write_all};
use crate::{Attempt, Known, Needs, Place};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// In the reduced tier a denied program of the workspace can be read, and so be run.
const IN_WORKSPACE: Known = Known::Loss("secrets-in-workspace");
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("by-name", "Starts a denied program by its name.", Ran, |p| {
            run(p, Command::new("touch").arg(p.ran()))
        }),
        Attempt::new("by-path", "Starts it by its whole path.", Ran, |p| {
            run(p, Command::new(touch()).arg(p.ran()))
        }),
        Attempt::new("by-other-path", "Starts it by a path with detours.", Ran, |p| {
            run(p, Command::new("/usr/../proc/self/root/usr/bin/touch").arg(p.ran()))
        }),
        Attempt::new("by-relative-path", "Starts it from its own folder.", Ran, |p| {
            shell(p, p.ran(), "cd /usr/bin && ./touch \"$1\"")
        }),
        Attempt::new("by-other-first-word", "Gives it another first argument.", Ran, |p| {
            run(p, Command::new(touch()).arg0("cat").arg(p.ran()))
        }),
        Attempt::new("by-no-first-word", "Gives it an empty first argument.", Ran, |p| {
            run(p, Command::new(touch()).arg0("").arg(p.ran()))
        }),
        Attempt::new("by-link", "Starts it by a link of another name.", Ran, |p| {
            let link = p.scratch()?.join("cat");
            symlink(touch(), &link)?;
            run(p, Command::new(link).arg(p.ran()))
        }),
        Attempt::new("by-descriptor", "Starts it by `/proc/self/fd`.", Ran, |p| {
            let file = open(touch(), libc::O_PATH)?;
            // The descriptor lasts to the exec, and not beyond.
            exec(p, by_descriptor(&file).to_string_lossy().as_ref())
        }),
        Attempt::new("by-empty-path", "Starts an open file by `execveat`.", Ran, |p| {
            let file = open(touch(), libc::O_PATH)?;
            let (first, last) = (text("cat")?, text(p.ran())?);
            let arguments = [first.as_ptr(), last.as_ptr(), std::ptr::null()];
            let environment = [std::ptr::null::<u8>()];
            let fd = file.as_raw_fd();
            let (at, with, flags) = (arguments.as_ptr(), environment.as_ptr(), libc::AT_EMPTY_PATH);
            crate::sys::in_child(|| {
                call!(libc::SYS_execveat, fd, c"".as_ptr(), at, with, flags).and(NOTHING)
            })
        }),
        Attempt::new("by-env", "Lets `env` start it.", Ran, |p| {
            run(p, Command::new("env").args(["X=Y", "touch"]).arg(p.ran()))
        }),
        Attempt::new("by-shell-word", "Lets a shell start it.", Ran, |p| {
            shell(p, p.ran(), "touch \"$1\"")
        }),
        Attempt::new("by-shell-eval", "Hides it from a reader of the shell's words.", Ran, |p| {
            shell(p, p.ran(), "a=to; b=uch; eval \"$a$b\" '\"$1\"'")
        }),
        Attempt::new("by-shell-exec", "Lets a shell become it.", Ran, |p| {
            shell(p, p.ran(), "exec touch \"$1\"")
        }),
        Attempt::new("by-xargs", "Lets `xargs` start it.", Ran, |p| {
            shell(p, p.ran(), "printf %s \"$1\" | xargs touch")
        }),
        Attempt::new("by-find", "Lets `find` start it.", Ran, |p| {
            run(
                p,
                Command::new("find")
                    .args(["src", "-maxdepth", "0", "-exec", "touch"])
                    .arg(p.ran())
                    .arg(";"),
            )
        }),
        Attempt::new("by-wrapper", "Lets `nice` and `nohup` start it.", Ran, |p| {
            run(p, Command::new("nice").args(["nohup", "touch"]).arg(p.ran()))
        }),
        Attempt::new("by-timeout", "Lets `timeout` start it.", Ran, |p| {
            run(p, Command::new("timeout").args(["5", "touch"]).arg(p.ran()))
        }),
        Attempt::new("by-script", "Names it as a script's interpreter.", Ran, |p| {
            let script = p.scratch_file(&format!("#!{} {}\n", touch(), p.ran().display()))?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
            run(p, &mut Command::new(script))
        }),
        Attempt::new("by-perl", "Lets an interpreter start it.", Ran, |p| {
            run(p, Command::new("perl").args(["-e", "exec 'touch', @ARGV or die"]).arg(p.ran()))
        })
        .needs(Needs::Machine("perl")),
        Attempt::new("by-python", "Lets Python start it (`subprocess`).", Ran, |p| {
            let script =
                "import subprocess, sys; subprocess.run(['touch', sys.argv[1]], check=True)";
            run(p, Command::new("python3").args(["-c", script]).arg(p.ran()))
        })
        .needs(Needs::Machine("python3")),
        Attempt::new("by-git-alias", "Lets git start it as an alias.", Ran, |p| {
            let alias = format!("alias.x=!touch {}", p.ran().display());
            run(p, Command::new("git").args(["-c", &alias, "x"]))
        }),
        Attempt::new("by-loader", "Lets the dynamic loader start it.", Ran, |p| {
            run(p, Command::new(LOADER).arg(touch()).arg(p.ran()))
        })
        .needs(Needs::Machine("the loader of this architecture")),
        Attempt::new("by-spawn", "Starts it by `vfork`, as `posix_spawn` does.", Ran, |p| {
            spawn(&text(touch())?, &text(p.ran())?).and(NOTHING)
        }),
        Attempt::new("by-thread", "Starts it from a thread that is not the first.", Ran, |p| {
            let (program, last) = (touch(), p.ran());
            crate::sys::in_child(move || {
                let become_it = move || Command::new(program).arg(last).exec();
                let failed = std::thread::spawn(become_it).join();
                Err(failed.unwrap_or_else(|_| crate::sys::refused("it panicked")))
            })
        }),
        Attempt::new("race-arguments", "Swaps its words while it is judged.", Ran, |p| {
            // With another last letter the path names nothing.
            let path = text(touch())?.into_bytes_with_nul();
            let bytes: Vec<AtomicU8> = path.into_iter().map(AtomicU8::new).collect();
            let letter = &bytes[bytes.len() - 2];
            let last = text(p.ran())?;
            race(
                || {
                    letter.store(b'x', Ordering::Relaxed);
                    letter.store(b'h', Ordering::Relaxed);
                },
                || {
                    // SAFETY: the bytes end with NUL whatever their last letter is.
                    let program = unsafe { std::ffi::CStr::from_ptr(bytes.as_ptr().cast()) };
                    drop(spawn(program, &last));
                },
                || p.ran().exists(),
            )
        }),
        Attempt::new("race-program-link", "Swaps a link's target while it is judged.", Ran, |p| {
            let (link, next) = (p.scratch()?.join("link"), p.scratch()?.join("next"));
            let (name, last) = (text(&link)?, text(p.ran())?);
            race(
                || {
                    for target in ["/bin/true", &touch()] {
                        // It may be in the middle of the other.
                        let _ = symlink(target, &next);
                        let _ = fs::rename(&next, &link);
                    }
                },
                || drop(spawn(&name, &last)),
                || p.ran().exists(),
            )
        }),
        Attempt::new("program-run", "Starts a program that is denied as a file.", Secret, |p| {
            run(p, &mut Command::new(tool(p)))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-by-interpreter", "Gives it to its interpreter.", Secret, |p| {
            run(p, Command::new("sh").arg(tool(p)))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-by-input", "Gives it to its interpreter as input.", Secret, |p| {
            shell(p, tool(p), "sh < \"$1\"")
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-by-source", "Reads it into a shell.", Secret, |p| {
            shell(p, tool(p), ". \"$1\"")
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-copied", "Copies it and starts the copy.", Secret, |p| {
            let copy = p.scratch()?.join("copy");
            fs::copy(tool(p), &copy)?;
            run(p, &mut Command::new(copy))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-in-memory", "Starts it from memory (`memfd`).", Secret, |p| {
            let program = fs::read_to_string(tool(p))?;
            // Scripts are read by name, so that the descriptor has to last.
            let memory = owned(call!(libc::SYS_memfd_create, c"x".as_ptr(), 0))?;
            write_all(&memory, &program)?;
            run(p, &mut Command::new(by_descriptor(&memory)))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-by-loader", "Maps it as the loader would.", Secret, |p| {
            let file = open(tool(p), libc::O_RDONLY)?;
            let (how, own) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE);
            let at = call!(libc::SYS_mmap, 0, 4096, how, own, file.as_raw_fd(), 0)?;
            // SAFETY: the kernel has just mapped this page for reading.
            Ok(unsafe { std::slice::from_raw_parts(at as usize as *const u8, 64) }.to_vec())
        })
        .shows(IN_WORKSPACE),
        Attempt::new("program-linked", "Starts it by another name.", Secret, |p| {
            let link = p.scratch()?.join("link");
            fs::hard_link(tool(p), &link)?;
            run(p, &mut Command::new(link))
        }),
        Attempt::new(
            "program-by-descriptor",
            "Starts it by an `O_PATH` descriptor.",
            Secret,
            |p| {
                let file = open(tool(p), libc::O_PATH)?;
                call!(libc::SYS_fcntl, file.as_raw_fd(), libc::F_SETFD, 0)?;
                run(p, &mut Command::new(by_descriptor(&file)))
            },
        )
        .shows(IN_WORKSPACE),
    ])
}

/// Where the program lies that a rule denies.
fn touch() -> String {
    let folders = ["/usr/bin", "/bin", "/usr/local/bin"].map(|folder| format!("{folder}/touch"));
    let found = folders.iter().find(|path| fs::exists(path).unwrap_or(false));
    found.cloned().unwrap_or_else(|| "/usr/bin/touch".into())
}

/// A program that is denied as a file: it says the secret.
fn tool(p: &Place) -> std::path::PathBuf {
    p.work().join("denied/tool")
}

fn exec(p: &Place, program: &str) -> Got {
    run(p, Command::new(program).arg0("cat").arg(p.ran()))
}

/// Starts a program in a child that shares memory with this one until then.
fn spawn(program: &std::ffi::CStr, last: &std::ffi::CStr) -> std::io::Result<()> {
    let arguments = [c"touch".as_ptr(), last.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: the arrays end with a null pointer and the strings with NUL.
    unsafe {
        let failed = libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            arguments.as_ptr().cast(),
            environment.as_ptr(),
        );
        if failed != 0 {
            return Err(std::io::Error::from_raw_os_error(failed));
        }
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
    Ok(())
}
