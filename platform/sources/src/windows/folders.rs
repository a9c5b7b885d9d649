//! The folders that Windows names, asked of the system and not of variables, which whoever starts a
//! program chooses.

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use windows_sys::Win32::System::Com::CoTaskMemFree;
use windows_sys::Win32::UI::Shell::{
    FOLDERID_LocalAppData, FOLDERID_Profile, FOLDERID_ProgramData, FOLDERID_RoamingAppData,
    SHGetKnownFolderPath,
};
use windows_sys::core::GUID;

/// The folders of the user that this process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFolders {
    /// The user's own: `C:\Users\Ada`.
    pub home: PathBuf,
    /// Settings that follow the user from machine to machine: `%APPDATA%`.
    pub roaming: PathBuf,
    /// What stays on this machine: `%LOCALAPPDATA%`.
    pub local: PathBuf,
}

/// Asks for them; `None` where the user has no profile.
pub fn user_folders() -> Option<UserFolders> {
    Some(UserFolders {
        home: known(&FOLDERID_Profile)?,
        roaming: known(&FOLDERID_RoamingAppData)?,
        local: known(&FOLDERID_LocalAppData)?,
    })
}

/// `%ProgramData%`.
pub(super) fn program_data() -> Option<PathBuf> {
    known(&FOLDERID_ProgramData)
}

fn known(folder: &GUID) -> Option<PathBuf> {
    let mut text = null_mut();
    // SAFETY: the identifier is a constant and `text` is writable; a null token is the process's.
    let result = unsafe { SHGetKnownFolderPath(folder, 0, null_mut(), &raw mut text) };
    let path = if result >= 0 && !text.is_null() {
        // SAFETY: on success the text ends with a zero.
        let length = (0..).take_while(|at| unsafe { *text.add(*at) } != 0).count();
        // SAFETY: that many units were just read.
        let units = unsafe { std::slice::from_raw_parts(text, length) };
        Some(PathBuf::from(OsString::from_wide(units)))
    } else {
        None
    };
    // SAFETY: the caller frees the text, which may be null ("SHGetKnownFolderPath").
    unsafe { CoTaskMemFree(text.cast()) };
    path
}
