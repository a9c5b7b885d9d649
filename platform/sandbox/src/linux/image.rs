//! A program at its exec stop: reading what the kernel has copied for it, and replacing its first
//! instructions where it may not run.
//!
//! At the stop (`PTRACE_EVENT_EXEC`) the process has one thread, which has not run an instruction
//! of the new image, and no other process of the session can write its memory. What is read here
//! is therefore what will run.

use super::sys::{self, Errno, Result};
use chaperone_policy::{Command, changes_meaning};
use std::ffi::{CStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The longest that arguments and environment can be: the kernel allows three quarters of
/// `_STK_LIM`, 6 MiB (execve(2)).
const LONGEST: usize = 8 << 20;
/// Most stacks at exec fit in this.
const FIRST_READ: usize = 32 << 10;
const WORD: usize = size_of::<u64>();
/// The auxiliary vector's entry for the path that was given to execve (getauxval(3)).
const AT_EXECFN: u64 = 31;
const AT_NULL: u64 = 0;

/// What is about to run; `bytes` is what its stack is read into.
pub(super) fn read(pid: i32, bytes: &mut Vec<u8>) -> Result<Command> {
    let stack = Stack::read(pid, bytes);
    // Few are longer, and what those took is not kept.
    bytes.truncate(FIRST_READ);
    bytes.shrink_to_fit();
    let stack = stack?;
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}"))
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))
    };
    Ok(Command {
        executable: link("exe")?,
        exec_name: stack.exec_name,
        argv: stack.argv,
        environment: stack.environment,
        cwd: link("cwd")?,
    })
}

/// The new image's stack as the kernel laid it out: the number of arguments, pointers to them, a
/// null; pointers to the environment, a null; the auxiliary vector; then the strings.
struct Stack {
    argv: Vec<String>,
    /// The variables that change what a command means, with their values.
    environment: Vec<(String, String)>,
    exec_name: PathBuf,
}

impl Stack {
    fn read(pid: i32, bytes: &mut Vec<u8>) -> Result<Self> {
        let base = registers(pid)?.stack_pointer;
        let mut memory = Memory { pid, base, bytes, length: 0 };
        memory.extend(FIRST_READ)?;
        let count = usize::try_from(memory.word(0)?).map_err(|_| Errno(libc::EFAULT))?;
        let mut at = 1;
        let mut list = |memory: &mut Memory| -> Result<Vec<u64>> {
            let mut pointers = Vec::new();
            loop {
                let pointer = memory.word(at)?;
                at += 1;
                if pointer == 0 {
                    return Ok(pointers);
                }
                pointers.push(pointer);
            }
        };
        let argv = list(&mut memory)?;
        let environment = list(&mut memory)?;
        if argv.len() != count {
            return Err(Errno(libc::EFAULT));
        }
        let exec_name = loop {
            let (key, value) = (memory.word(at)?, memory.word(at + 1)?);
            at += 2;
            match key {
                AT_EXECFN => break value,
                AT_NULL => return Err(Errno(libc::EFAULT)),
                _ => {}
            }
        };
        let argv = argv
            .into_iter()
            .map(|pointer| Ok(String::from_utf8_lossy(memory.string(pointer)?).into_owned()))
            .collect::<Result<_>>()?;
        let environment = environment
            .into_iter()
            .filter_map(|pointer| memory.string(pointer).map(variable).transpose())
            .collect::<Result<_>>()?;
        Ok(Self {
            argv,
            environment,
            exec_name: PathBuf::from(OsString::from_vec(memory.string(exec_name)?.to_vec())),
        })
    }
}

/// A variable that changes what a command means, and its value.
fn variable(entry: &[u8]) -> Option<(String, String)> {
    let at = entry.iter().position(|byte| *byte == b'=')?;
    let name = String::from_utf8_lossy(&entry[..at]);
    let value = || String::from_utf8_lossy(&entry[at + 1..]).into_owned();
    changes_meaning(&name).then(|| (name.clone().into_owned(), value()))
}

/// A part of a process's memory, read once from `base` upwards.
struct Memory<'b> {
    pid: i32,
    base: u64,
    bytes: &'b mut Vec<u8>,
    /// So many of the bytes are this process's.
    length: usize,
}

impl Memory<'_> {
    /// Reads on until so many bytes are there, or until the stack ends.
    fn extend(&mut self, wanted: usize) -> Result<()> {
        let have = self.length;
        if wanted > LONGEST || wanted <= have {
            return Err(Errno(libc::EFAULT));
        }
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        let more = &mut self.bytes[have..wanted];
        self.length += read_memory(self.pid, self.base + have as u64, more)?;
        Ok(())
    }

    fn need(&mut self, length: usize) -> Result<()> {
        while self.length < length {
            self.extend(length.max(self.length * 2).min(LONGEST))?;
        }
        Ok(())
    }

    fn word(&mut self, index: usize) -> Result<u64> {
        let from = index * WORD;
        self.need(from + WORD)?;
        let bytes = self.bytes[from..from + WORD].try_into().map_err(|_| Errno(libc::EFAULT))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn string(&mut self, pointer: u64) -> Result<&[u8]> {
        let from = pointer
            .checked_sub(self.base)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|offset| *offset < LONGEST)
            .ok_or(Errno(libc::EFAULT))?;
        self.need(from + 1)?;
        let end = loop {
            match CStr::from_bytes_until_nul(&self.bytes[from..self.length]) {
                Ok(string) => break from + string.count_bytes(),
                Err(_) => self.need(self.length + 1)?,
            }
        };
        Ok(&self.bytes[from..end])
    }
}

/// Copies memory of another process; as much as is mapped.
pub(super) fn read_memory(pid: i32, address: u64, buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the local part is one slice; the remote address is checked by the kernel.
    let got = sys::check(unsafe {
        libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0)
    })?;
    usize::try_from(got).map_err(|_| Errno(libc::EIO))
}

/// Overwrites memory of another process that it may itself write.
fn write_memory(pid: i32, address: u64, bytes: &[u8]) -> Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the local part is only read; the remote address is checked by the kernel.
    let wrote = sys::check(unsafe {
        libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0)
    })?;
    if usize::try_from(wrote) == Ok(bytes.len()) { Ok(()) } else { Err(Errno(libc::EFAULT)) }
}

struct Registers {
    stack_pointer: u64,
    instruction_pointer: u64,
}

/// The two registers that matter of a stopped process. A 32-bit image, whose register set is
/// smaller, is refused: the filter would kill it at its first call.
fn registers(pid: i32) -> Result<Registers> {
    // SAFETY: all zeroes is a valid set of registers.
    let mut set: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::user_regs_struct>();
    let mut part = libc::iovec { iov_base: (&raw mut set).cast(), iov_len: size };
    // SAFETY: the kernel stores at most the given length and sets it to what it stored.
    sys::check(unsafe {
        libc::ptrace(libc::PTRACE_GETREGSET, pid, libc::NT_PRSTATUS, &raw mut part)
    })?;
    if part.iov_len != size {
        return Err(Errno(libc::ENOEXEC));
    }
    #[cfg(target_arch = "x86_64")]
    let (stack_pointer, instruction_pointer) = (set.rsp, set.rip);
    #[cfg(target_arch = "aarch64")]
    let (stack_pointer, instruction_pointer) = (set.sp, set.pc);
    Ok(Registers { stack_pointer, instruction_pointer })
}

/// Beyond what the ABI lets a function use below the stack pointer without saying so.
const RED_ZONE: u64 = 256;
/// A message longer than this is cut.
const LONGEST_MESSAGE: usize = 4096;

/// Replaces the program by two system calls: write the message to its standard error, end with
/// 126. They run in the process itself, so a standard error that blocks holds nobody else up.
pub(super) fn replace(pid: i32, message: &str) -> Result<()> {
    let registers = registers(pid)?;
    let mut text: Vec<u8> = message.as_bytes()[..message.len().min(LONGEST_MESSAGE)].to_vec();
    text.push(b'\n');
    let address = (registers.stack_pointer - RED_ZONE - text.len() as u64) & !0xf;
    write_memory(pid, address, &text)?;
    let mut code = instructions(address, text.len() as u32);
    code.resize(code.len().next_multiple_of(WORD), 0);
    for (word, at) in code.chunks_exact(WORD).zip((registers.instruction_pointer..).step_by(WORD)) {
        let word = u64::from_ne_bytes(word.try_into().map_err(|_| Errno(libc::EFAULT))?);
        // SAFETY: poking writes one word of the tracee, also where its pages are read-only,
        // which give it a copy of its own.
        sys::check(unsafe { libc::ptrace(libc::PTRACE_POKETEXT, pid, at, word) })?;
    }
    Ok(())
}

/// `write(2, address, length); exit_group(126)`.
#[cfg(target_arch = "x86_64")]
fn instructions(address: u64, length: u32) -> Vec<u8> {
    let mut code = vec![0xb8]; // mov eax, SYS_write
    code.extend((libc::SYS_write as u32).to_le_bytes());
    code.extend([0xbf, 2, 0, 0, 0]); // mov edi, 2
    code.extend([0x48, 0xbe]); // movabs rsi, address
    code.extend(address.to_le_bytes());
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xbf, 126, 0, 0, 0]); // mov edi, 126
    code.push(0xb8); // mov eax, SYS_exit_group
    code.extend((libc::SYS_exit_group as u32).to_le_bytes());
    code.extend([0x0f, 0x05, 0x0f, 0x0b]); // syscall; ud2
    code
}

/// `write(2, address, length); exit_group(126)`.
#[cfg(target_arch = "aarch64")]
fn instructions(address: u64, length: u32) -> Vec<u8> {
    // movz/movk Xd, #imm16, lsl #(16 * shift)
    let movz = |register: u32, value: u32| 0xd280_0000 | (value & 0xffff) << 5 | register;
    let movk = |register: u32, value: u64, shift: u32| {
        0xf280_0000 | shift << 21 | ((value >> (16 * shift)) as u32 & 0xffff) << 5 | register
    };
    const SVC: u32 = 0xd400_0001;
    [
        movz(0, 2),
        movz(1, address as u32),
        movk(1, address, 1),
        movk(1, address, 2),
        movk(1, address, 3),
        movz(2, length),
        movz(8, libc::SYS_write as u32),
        SVC,
        movz(0, 126),
        movz(8, libc::SYS_exit_group as u32),
        SVC,
    ]
    .into_iter()
    .flat_map(u32::to_le_bytes)
    .collect()
}

/// Whether a signal waits for this process that will end it as soon as it runs: one that is
/// neither blocked nor ignored (after exec no signal has a handler).
pub(super) fn interrupted(pid: i32) -> bool {
    const ENDING: u64 = 1 << (libc::SIGHUP - 1)
        | 1 << (libc::SIGINT - 1)
        | 1 << (libc::SIGTERM - 1)
        | 1 << (libc::SIGQUIT - 1)
        | 1 << (libc::SIGKILL - 1);
    let Ok(status) = fs::read(format!("/proc/{pid}/status")) else { return true };
    let mask = |name: &[u8]| {
        status
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(name))
            .map(|value| std::ffi::OsStr::from_bytes(value).to_string_lossy().trim().to_owned())
            .and_then(|value| u64::from_str_radix(&value, 16).ok())
            .unwrap_or(0)
    };
    let pending = mask(b"SigPnd:") | mask(b"ShdPnd:");
    pending & ENDING & !mask(b"SigBlk:") & !mask(b"SigIgn:") != 0
}
