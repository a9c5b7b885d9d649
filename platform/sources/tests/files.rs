//! Which files are read as which layers, and which of them are trusted. The owner that is expected
//! is an argument, so that every case holds for root and for an ordinary user alike.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_policy::{Context, Layer, LayerStatus, Os, SourceKind, built_in, merge};
use chaperone_sources::{Locations, Trust, read};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A machine in a folder: its files belong to whoever runs the test, who is its "root".
struct Machine {
    folder: TempDir,
    locations: Locations,
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let me = fs::metadata(&top).unwrap().uid();
        let machine = Self {
            locations: Locations {
                managed: top.join("etc/chaperone/policy.d"),
                recommended: top.join("etc/chaperone/recommended.d"),
                user: top.join("home/.config/chaperone/config.toml"),
                workspace: Some(top.join("work")),
                command_line: Vec::new(),
                trust: Trust { owner: me, user: me + 1, top: top.clone(), home: top.join("home") },
                store: None,
            },
            folder,
        };
        for path in ["etc/chaperone/policy.d", "home/.config/chaperone", "work"] {
            fs::create_dir_all(top.join(path)).unwrap();
        }
        for path in ["etc", "etc/chaperone", "etc/chaperone/policy.d", "home", "work", ""] {
            machine.mode(&top.join(path), 0o755);
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    fn mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::write(&path, text).unwrap();
        self.mode(&path, 0o644);
        path
    }

    fn managed(&self, text: &str) -> PathBuf {
        self.write("etc/chaperone/policy.d/10-it.toml", text)
    }

    fn layer(&self, kind: SourceKind) -> Layer {
        let mut layers: Vec<Layer> =
            read(&self.locations).into_iter().filter(|layer| layer.kind == kind).collect();
        assert_eq!(layers.len(), 1, "{layers:?}");
        layers.remove(0)
    }

    /// The status of the one managed file.
    fn status(&self) -> LayerStatus {
        self.layer(SourceKind::ManagedFile).status
    }

    fn blocked(&self) -> bool {
        let mut layers = read(&self.locations);
        layers.push(built_in());
        let context = Context {
            home: self.path("home"),
            workspace: self.path("work"),
            agent: None,
            os: Os::Linux,
        };
        !merge(layers, &context).blocked().is_empty()
    }
}

#[test]
fn every_source_is_listed_and_files_stand_in_name_order() {
    let mut machine = Machine::new();
    machine.write("etc/chaperone/policy.d/20-b.toml", "revision = \"b\"\n");
    machine.write("etc/chaperone/policy.d/10-a.toml", "revision = \"a\"\n");
    machine.write("etc/chaperone/policy.d/15-c.json", "{\"revision\": \"c\"}");
    machine.write("etc/chaperone/policy.d/.10-a.toml.swp", "not = [ policy");
    machine.write("etc/chaperone/policy.d/.16-d.json", "{\"not\": \"policy\"}");
    machine.write("etc/chaperone/policy.d/README", "not = [ policy");
    machine.write("work/.chaperone.toml", "[network]\nmode = \"none\"\n");
    machine.locations.command_line = vec![machine.write("z.toml", "[limits]\nprocesses = 100\n")];
    let top = machine.path("");
    let seen: Vec<(SourceKind, String, LayerStatus)> = read(&machine.locations)
        .into_iter()
        .map(|layer| {
            let path = Path::new(&layer.locator).strip_prefix(&top).unwrap().to_owned();
            (layer.kind, path.to_string_lossy().into_owned(), layer.status)
        })
        .collect();
    use LayerStatus::{Absent, Present};
    assert_eq!(
        seen,
        [
            (SourceKind::RecommendedFile, "etc/chaperone/recommended.d".into(), Absent),
            (SourceKind::ManagedFile, "etc/chaperone/policy.d/10-a.toml".into(), Present),
            (SourceKind::ManagedFile, "etc/chaperone/policy.d/15-c.json".into(), Present),
            (SourceKind::ManagedFile, "etc/chaperone/policy.d/20-b.toml".into(), Present),
            (SourceKind::UserFile, "home/.config/chaperone/config.toml".into(), Absent),
            (SourceKind::CommandLine, "z.toml".into(), Present),
            (SourceKind::WorkspaceFile, "work/.chaperone.toml".into(), Present),
        ]
    );
}

#[test]
fn a_layer_says_when_it_was_read_and_what_by_its_digest() {
    let mut machine = Machine::new();
    let file = machine.write("z.toml", "[limits]\nprocesses = 100\n");
    machine.locations.command_line = vec![file.clone(), file];
    let before = jiff::Timestamp::now();
    let layers = read(&machine.locations);
    let named: Vec<&Layer> =
        layers.iter().filter(|layer| layer.kind == SourceKind::CommandLine).collect();
    assert_eq!(named[0], named[1], "a file that is named twice is one layer");
    let reading = named[0].reading.as_ref().unwrap();
    assert_eq!(
        reading.digest(),
        // printf '[limits]\nprocesses = 100\n' | sha256sum
        "22b2ae994f53abacd44bcb52740ee678649f52d74b2d5a5541e9649aca10f13b"
    );
    assert!(before <= reading.at && reading.at <= jiff::Timestamp::now());
    assert!(machine.layer(SourceKind::ManagedFile).reading.is_none(), "nothing was read");
}

#[test]
fn a_managed_file_in_json_restricts_as_one_in_toml_and_a_broken_one_lets_no_session_start() {
    let machine = Machine::new();
    let file = machine.write(
        "etc/chaperone/policy.d/10-it.json",
        "{\"network\": {\"mode\": \"none\", \"closed\": true}}",
    );
    let layer = machine.layer(SourceKind::ManagedFile);
    assert_eq!(layer.status, LayerStatus::Present);
    assert_eq!(layer.settings.network.closed.as_ref().map(|closed| closed.value), Some(true));
    assert!(!machine.blocked());
    fs::write(&file, "{\"network\": {\"mode\": \"none\"").unwrap();
    assert_eq!(machine.status(), LayerStatus::Invalid);
    assert!(machine.blocked());
}

#[test]
fn a_managed_file_is_trusted_when_only_its_owner_can_write_it_and_all_above() {
    let machine = Machine::new();
    let file = machine.managed("[network]\nmode = \"none\"\n");
    assert_eq!(machine.status(), LayerStatus::Present);
    machine.mode(&file, 0o600);
    assert_eq!(machine.status(), LayerStatus::Present);

    let places =
        ["etc/chaperone/policy.d/10-it.toml", "etc/chaperone/policy.d", "etc/chaperone", "etc"];
    for place in places {
        let path = machine.path(place);
        let before = fs::metadata(&path).unwrap().mode() & 0o7777;
        // Sticky is not enough: others could still add a file.
        for bits in [0o020, 0o002, 0o1002] {
            machine.mode(&path, before | bits);
            let layer = machine.layer(SourceKind::ManagedFile);
            assert_eq!(layer.status, LayerStatus::Untrusted, "{place} with {bits:o}");
            assert!(layer.detail.contains(&format!("can write {}", path.display())), "{layer:?}");
            machine.mode(&path, before);
        }
        assert_eq!(machine.status(), LayerStatus::Present, "{place} as before");
    }
}

#[test]
fn a_managed_file_of_another_owner_is_untrusted() {
    let mut machine = Machine::new();
    machine.managed("[network]\nmode = \"none\"\n");
    machine.locations.trust.owner += 7;
    let layer = machine.layer(SourceKind::ManagedFile);
    assert_eq!(layer.status, LayerStatus::Untrusted);
    assert!(layer.detail.contains("belongs to"), "{}", layer.detail);
}

#[test]
fn where_the_user_is_the_owner_managed_files_are_untrusted() {
    let mut machine = Machine::new();
    machine.managed("[network]\nmode = \"none\"\n");
    machine.locations.trust.user = machine.locations.trust.owner;
    let layer = machine.layer(SourceKind::ManagedFile);
    assert_eq!(layer.status, LayerStatus::Untrusted);
    assert!(layer.detail.contains("could have written it"), "{}", layer.detail);
}

#[test]
fn a_link_on_the_way_to_a_managed_file_is_untrusted() {
    let machine = Machine::new();
    let real = machine.write("elsewhere.toml", "[network]\nmode = \"none\"\n");
    symlink(&real, machine.path("etc/chaperone/policy.d/10-it.toml")).unwrap();
    assert_eq!(machine.status(), LayerStatus::Untrusted);

    let machine = Machine::new();
    machine.managed("[network]\nmode = \"none\"\n");
    fs::rename(machine.path("etc/chaperone"), machine.path("moved")).unwrap();
    symlink(machine.path("moved"), machine.path("etc/chaperone")).unwrap();
    let layer = machine.layer(SourceKind::ManagedFile);
    assert_eq!(layer.status, LayerStatus::Untrusted);
    assert!(layer.settings.network.mode.is_some(), "its restrictions are read all the same");
}

#[test]
fn what_cannot_be_read_of_the_managed_policy_starts_no_session() {
    let machine = Machine::new();
    assert!(!machine.blocked(), "no policy at all is no reason");

    type Case = (&'static str, fn(&Machine));
    let cases: [Case; 6] = [
        ("a folder", |m| fs::create_dir(m.path("etc/chaperone/policy.d/10-it.toml")).unwrap()),
        ("a pipe", |m| {
            let path = m.path("etc/chaperone/policy.d/10-it.toml");
            let made = std::process::Command::new("mkfifo").args(["-m", "644"]).arg(path).status();
            assert!(made.unwrap().success());
        }),
        ("a file without an end", |m| {
            let path = m.managed("");
            fs::File::options().write(true).open(path).unwrap().set_len((1 << 20) + 1).unwrap();
        }),
        ("no text", |m| {
            let path = m.managed("");
            fs::write(path, b"revision = \"\xff\"\n").unwrap();
        }),
        ("no TOML", |m| drop(m.managed("[network\nmode = \"none\"\n"))),
        ("a file where the folder should be", |m| {
            fs::remove_dir(m.path("etc/chaperone/policy.d")).unwrap();
            m.write("etc/chaperone/policy.d", "");
        }),
    ];
    for (case, prepare) in cases {
        let machine = Machine::new();
        prepare(&machine);
        assert!(machine.blocked(), "{case}");
        let status = machine.status();
        assert!(
            matches!(status, LayerStatus::Unreadable | LayerStatus::Invalid),
            "{case}: {status:?}"
        );
    }
}

#[test]
fn a_managed_file_that_this_user_may_not_read_starts_no_session() {
    let machine = Machine::new();
    let file = machine.managed("[network]\nmode = \"none\"\n");
    machine.mode(&file, 0o000);
    // Root reads it all the same, and then it counts.
    let readable = fs::File::open(&file).is_ok();
    assert_eq!(machine.blocked(), !readable);
    let expected = if readable { LayerStatus::Present } else { LayerStatus::Unreadable };
    assert_eq!(machine.status(), expected);
}

#[test]
fn a_file_as_large_as_allowed_is_read() {
    let machine = Machine::new();
    let path = machine.managed("revision = \"x\"\n#");
    let mut text = fs::read_to_string(&path).unwrap();
    text.extend(std::iter::repeat_n(' ', (1 << 20) - text.len()));
    fs::write(&path, text).unwrap();
    assert_eq!(machine.status(), LayerStatus::Present);
}

#[test]
fn the_users_file_grants_when_nobody_else_can_write_it() {
    let mut machine = Machine::new();
    machine.locations.trust.user = machine.locations.trust.owner;
    let file = machine.write("home/.config/chaperone/config.toml", "revision = \"mine\"\n");
    let status = |machine: &Machine| machine.layer(SourceKind::UserFile).status;
    assert_eq!(status(&machine), LayerStatus::Present);
    machine.mode(&file, 0o666);
    assert_eq!(status(&machine), LayerStatus::Untrusted);
    machine.mode(&file, 0o644);
    machine.mode(&machine.path("home/.config/chaperone"), 0o777);
    assert_eq!(status(&machine), LayerStatus::Untrusted);
    machine.mode(&machine.path("home/.config/chaperone"), 0o1777);
    assert_eq!(status(&machine), LayerStatus::Present, "sticky protects the user's own file");
    machine.mode(&machine.path("home/.config/chaperone"), 0o755);
    // Somebody else's file is not the user's, whoever else cannot write it.
    let owner = machine.locations.trust.owner;
    machine.locations.trust.user = owner + 1;
    let expected = if owner == 0 { LayerStatus::Present } else { LayerStatus::Untrusted };
    assert_eq!(status(&machine), expected, "root could write it anyway");
}

#[test]
fn people_may_link_to_their_own_settings() {
    let mut machine = Machine::new();
    machine.locations.trust.user = machine.locations.trust.owner;
    let real = machine.write("home/dotfiles.toml", "revision = \"mine\"\n");
    symlink(real, machine.path("home/.config/chaperone/config.toml")).unwrap();
    assert_eq!(machine.layer(SourceKind::UserFile).status, LayerStatus::Present);
}

#[test]
fn a_workspace_file_is_no_way_to_read_another_file() {
    let machine = Machine::new();
    let secret = machine.write("secret", "password");
    symlink(secret, machine.path("work/.chaperone.toml")).unwrap();
    let layer = machine.layer(SourceKind::WorkspaceFile);
    assert_eq!(layer.status, LayerStatus::Unreadable);
    assert!(!format!("{layer:?}").contains("password"));
    assert!(!machine.blocked(), "a workspace stops no session");
}

#[test]
fn a_policy_that_was_asked_for_and_is_missing_starts_no_session() {
    let mut machine = Machine::new();
    machine.locations.command_line = vec![machine.path("missing.toml")];
    assert!(machine.blocked());
    assert_eq!(machine.layer(SourceKind::CommandLine).status, LayerStatus::Unreadable);
}

#[test]
fn the_system_locations_follow_the_xdg_variable_where_it_is_absolute() {
    let user = |xdg: Option<&str>| {
        Locations::system(Path::new("/home/ada"), xdg.map(Path::new), None, Vec::new()).user
    };
    let expected = Path::new("/home/ada/.config/chaperone/config.toml");
    assert_eq!(user(None), expected);
    assert_eq!(user(Some("relative")), expected);
    assert_eq!(user(Some("/x")), Path::new("/x/chaperone/config.toml"));
}
