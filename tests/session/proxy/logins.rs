//! Logins that git and npm go with, of which a session holds stand-ins or nothing: to a server that
//! lets nobody in without.

use super::Tier;
use super::tools::{HOST, stage};
use crate::place::{Place, text};
use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chaperone_tests::keychain::Keychain;
use chaperone_tests::with_names;
use std::fs;
use std::path::PathBuf;

const REAL: &str = "ghp_real7Q2xVbN0eTnLrWk4";
const NAME: &str = "x-access-token";

/// What lets somebody in, as it stands in a request.
pub(super) fn logins() -> [String; 2] {
    let login = BASE64_STANDARD.encode(format!("{NAME}:{REAL}"));
    [format!("Basic {login}"), format!("Bearer {REAL}")]
}

struct Stage {
    place: Place,
    keychain: Keychain,
    hosts: PathBuf,
    /// Where the server keeps what is not for everybody.
    private: String,
}

impl Stage {
    /// Where the credential is bound like this.
    fn new(binding: &str) -> Result<Self> {
        let (place, port, hosts) = stage()?;
        let config = place.home().join(".config/chaperone/config.toml");
        let bound = format!(
            "[[credentials.inject]]\nsecret = \"forge\"\nhost = \"{HOST}\"\n{binding}\n\
             [[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"allow\"\n"
        );
        fs::write(&config, fs::read_to_string(&config)? + &bound)?;
        let keychain = Keychain::start(|program| place.command(program))?;
        keychain.keep(place.chaperone(["secret", "set", "forge"])?, REAL)?;
        Ok(Self { place, keychain, hosts, private: format!("https://{HOST}:{port}/private") })
    }

    /// Runs a line of shell in both tiers, where it has to say this.
    fn says(&self, line: &str, expected: &str) -> Result<()> {
        let script = format!(
            "exec 2>&1; PATH=/usr/local/bin:/usr/bin:/bin; at={}; \
             export GIT_TERMINAL_PROMPT=0 npm_config_update_notifier=false; {line}",
            self.private
        );
        for tier in [Tier::Full, Tier::Reduced] {
            let run = self.place.chaperone(["run", "--unattended", "--", "sh", "-c", &script])?;
            let mut command = self.keychain.with(run);
            with_names(&mut command, &self.hosts);
            tier.leave(&mut command);
            let done = command.output()?;
            assert_eq!(text(&done.stdout), expected, "{tier:?}: {}", text(&done.stderr));
        }
        Ok(())
    }
}

const CLONE_AND_PUSH: &str = "git clone -q $url a && git -C a log --format=%s && \
     git -C a push -q origin HEAD:refs/heads/of-$$ && echo pushed; rm -rf a";

#[test]
fn git_goes_with_a_login_that_the_session_holds_nothing_of() -> Result<()> {
    let stage = Stage::new(&format!("basic = \"{NAME}:{{}}\""))?;
    stage.says(&format!("url=$at/repository.git; {CLONE_AND_PUSH}"), "first\npushed\n")?;
    // What git starts for a push that is allowed is part of it, and by itself it is not.
    stage.says(
        "git clone -q $at/repository.git a; cd a; \
         git send-pack --stateless-rpc $at/repository.git HEAD:refs/heads/x 2>&1 | \
         grep -o 'publishes commits'; \
         printf 'push HEAD:refs/heads/x\n\n' | git remote-https origin $at/repository.git 2>&1 | \
         grep -o 'publishes commits'; cd ..; rm -rf a",
        "publishes commits\npublishes commits\n",
    )
}

#[test]
fn git_goes_with_a_login_of_which_it_has_a_stand_in_and_with_no_other() -> Result<()> {
    let stage = Stage::new(&format!("basic = \"{NAME}:{{}}\"\nenv = \"FORGE_TOKEN\""))?;
    let with = |login: &str| {
        format!("url=$(echo $at | sed s,//,//{login}@,)/repository.git; {CLONE_AND_PUSH}")
    };
    stage.says(&with("me:$FORGE_TOKEN"), "first\npushed\n")?;
    let refused = "git ls-remote $url 2>&1 | grep -o 403";
    let other = with("me:mine").replace(CLONE_AND_PUSH, refused);
    stage.says(&other, "403\n")?;
    // The server itself says no to who brings nothing.
    stage.says(
        "git ls-remote $at/repository.git 2>&1 | grep -o 'could not read Username'",
        "could not read Username\n",
    )
}

#[test]
fn npm_goes_with_a_token_of_which_its_settings_name_the_stand_in() -> Result<()> {
    let stage =
        Stage::new("header = \"authorization\"\ntemplate = \"Bearer {}\"\nenv = \"NPM_TOKEN\"")?;
    let view = "npm view left-pad version --registry $at/ 2>&1";
    stage.says(
        &format!(
            "echo ${{at#https:}}/:_authToken='${{NPM_TOKEN}}' > .npmrc; {view}; \
             echo ${{at#https:}}/:_authToken=mine > .npmrc; {view} | grep -o 'E403' | sort -u; \
             rm .npmrc; {view} | grep -o 'E401' | sort -u"
        ),
        "1.3.0\nE403\nE401\n",
    )
}
