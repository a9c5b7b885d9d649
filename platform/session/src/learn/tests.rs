//! What is proposed for what was refused.

use super::*;

/// A home with a workspace, and what is proposed there for what was refused.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["work", "docs/deep", "out", ".ssh", ".config/chaperone"] {
            fs::create_dir_all(place.home().join(folder)).unwrap();
        }
        for file in ["docs/a", "docs/b", "docs/deep/c", "alone/x", "y", ".ssh/id", "work/.env"] {
            let file = place.home().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        place
    }

    fn home(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn proposed(&self, refused: &Refused) -> Proposal {
        let home = self.home().into_os_string();
        let paths = Paths::from_environment(|name| (name == "HOME").then(|| home.clone()));
        let paths = paths.unwrap();
        let question =
            Question { workspace: Some(self.home().join("work")), ..Question::default() };
        let loaded = load(&question, &paths).unwrap();
        propose(refused, &loaded, &question, &paths)
    }

    fn paths(&self, names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(|name| self.home().join(name)).collect()
    }
}

fn values(proposal: &Proposal) -> Vec<(&str, &str)> {
    proposal.changes.iter().map(|change| (change.key, change.value.as_str())).collect()
}

fn whats(left: &[Left]) -> Vec<&str> {
    left.iter().map(|left| left.what.as_str()).collect()
}

#[test]
fn many_files_become_their_folder_and_one_stays_one() {
    let place = Place::new();
    let refused = Refused {
        reads: place.paths(&["docs/a", "docs/b", "docs/deep/c", "alone/x", "y", "out/z"]),
        writes: place.paths(&["out/new", "out/newer/x"]),
        ..Refused::default()
    };
    let proposal = place.proposed(&refused);
    assert_eq!(
        values(&proposal),
        [
            ("filesystem.read", "~/alone/x"),
            ("filesystem.read", "~/docs"),
            ("filesystem.read", "~/y"),
            ("filesystem.write", "~/out"),
        ]
    );
    assert!(proposal.diff.contains("+write = [\"~/out\"]\n"), "{}", proposal.diff);
    // Under it, nothing of this would be proposed again.
    fs::write(&proposal.file, &proposal.after).unwrap();
    let home = place.home().into_os_string();
    let paths = Paths::from_environment(|name| (name == "HOME").then(|| home.clone())).unwrap();
    let loaded = load(
        &Question { workspace: Some(place.home().join("work")), ..Question::default() },
        &paths,
    )
    .unwrap();
    let docs = Action::Read { path: place.home().join("docs/a") };
    assert_eq!(refusal(&loaded.policy, &docs), None);
}

#[test]
fn keys_the_home_and_the_system_are_never_proposed() {
    let place = Place::new();
    let mut writes = place.paths(&["new", ".config/chaperone/config.toml"]);
    writes.insert("/usr/share/x".into());
    let refused = Refused {
        reads: place.paths(&[".ssh/id", "work/.env"]),
        writes,
        protected: place.paths(&["work/.envrc"]),
        sockets: ["/run/docker.sock".to_owned()].into(),
        ..Refused::default()
    };
    let proposal = place.proposed(&refused);
    assert_eq!((values(&proposal), proposal.diff.as_str()), (vec![], ""));
    assert_eq!(whats(&proposal.secrets), ["~/.ssh/id", "~/work/.env"]);
    let protected = place.home().join("work/.envrc").display().to_string();
    let mut kept = whats(&proposal.kept);
    kept.sort_unstable();
    let mut all = ["/run/docker.sock", "/usr/share", "~/.config/chaperone", "~/new", &protected];
    all.sort_unstable();
    assert_eq!(kept, all);
}

#[test]
fn what_somebody_else_denies_is_told_and_not_proposed() {
    let place = Place::new();
    let file = place.home().join("work/.chaperone.toml");
    let (docs, out) = (place.home().join("docs"), place.home().join("out"));
    let text = format!(
        "[filesystem]\ndeny = [{docs:?}]\ndeny_write = [{out:?}]\n\
                        [network]\ndeny = [\"10.0.0.7\"]\n"
    );
    fs::write(file, text).unwrap();
    let refused = Refused {
        reads: place.paths(&["docs/a", "y"]),
        writes: place.paths(&["out/new"]),
        addresses: [("10.0.0.7".to_owned(), 443), ("10.0.0.8".to_owned(), 443)].into(),
        ..Refused::default()
    };
    let proposal = place.proposed(&refused);
    assert_eq!(values(&proposal), [("filesystem.read", "~/y"), ("network.allow", "10.0.0.8:443")]);
    assert_eq!(whats(&proposal.denied), ["~/out", "~/docs/a", "10.0.0.7:443"]);
    let why = &proposal.denied[0].why;
    assert!(why.starts_with("The workspace's own file denies this"), "{why}");
}
