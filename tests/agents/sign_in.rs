//! Real agents sign in with a subscription from inside a session, against a server that follows
//! RFC 6749 (authorization codes, refreshing) and RFC 7636 (PKCE), in the person's browser.

use super::agent::program;
use super::internet::Internet;
use super::model::Model;
use super::model::http::{Request, Response};
use super::place::{Place, text};
use super::{WRITE, results, said};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chaperone_tests::chaperone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// Who signs people in, and has a model for those who are.
struct Provider {
    model: Model,
    granted: Mutex<Granted>,
}

#[derive(Default)]
struct Granted {
    /// What was asked for with each code: where it goes, and the challenge of RFC 7636.
    codes: HashMap<String, (String, String)>,
    /// How often tokens were given out, and refreshed.
    tokens: usize,
    refreshed: usize,
}

const NO: &str = "400 Bad Request";

impl Provider {
    fn answer(&self, request: &Request) -> Response {
        let address = format!("https://{}{}", request.host, request.path);
        let Ok(address) = Url::parse(&address) else { return Response::not_found() };
        match (request.method.as_str(), address.path()) {
            ("GET", path) if path.ends_with("/oauth/authorize") => {
                self.authorize(&address).unwrap_or_else(|| Response::no(NO, &json!({})))
            }
            ("POST", path) if path.ends_with("/oauth/token") => self
                .token(&parameters(&request.body))
                .unwrap_or_else(|| Response::no(NO, &json!({ "error": "invalid_grant" }))),
            ("POST", path) if path.ends_with("/responses") || path.ends_with("/messages") => {
                // The first token is no longer good, however long it was to hold.
                if request.key == "Bearer access-2" {
                    self.model.answer(request)
                } else {
                    let error = json!({ "type": "authentication_error", "message": "expired" });
                    let body = json!({ "type": "error", "error": error });
                    Response::no("401 Unauthorized", &body)
                }
            }
            ("GET", "/api/oauth/profile") => Response::json(&json!({
                "account": { "uuid": "a", "email": "ada@acme.example", "full_name": "Ada",
                    "display_name": "Ada", "has_claude_max": true, "has_claude_pro": false },
                "organization": { "uuid": "o", "name": "Acme", "organization_type": "claude_max" },
            })),
            ("GET", "/api/oauth/claude_cli/roles") => Response::json(&json!({
                "organization_uuid": "o", "organization_name": "Acme",
                "organization_role": "admin", "workspace_role": null,
            })),
            _ => Response::not_found(),
        }
    }

    /// RFC 6749, section 4.1.1, and RFC 7636, section 4.3.
    fn authorize(&self, address: &Url) -> Option<Response> {
        let asked: HashMap<_, _> = address.query_pairs().into_owned().collect();
        if asked.get("response_type")? != "code" || asked.get("code_challenge_method")? != "S256" {
            return None;
        }
        let to = asked.get("redirect_uri")?;
        let mut back = Url::parse(to).ok()?;
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let code = format!("code-{}", granted.codes.len());
        granted.codes.insert(code.clone(), (to.clone(), asked.get("code_challenge")?.clone()));
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", asked.get("state")?);
        Some(Response::redirect(back.into()))
    }

    /// RFC 6749, sections 4.1.3 and 6, and RFC 7636, section 4.6.
    fn token(&self, given: &HashMap<String, String>) -> Option<Response> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match given.get("grant_type")?.as_str() {
            "authorization_code" => {
                let (to, challenge) = granted.codes.remove(given.get("code")?)?;
                let verifier = Sha256::digest(given.get("code_verifier")?);
                if *given.get("redirect_uri")? != to
                    || URL_SAFE_NO_PAD.encode(verifier) != challenge
                {
                    return None;
                }
                granted.tokens += 1;
                1
            }
            "refresh_token" if given.get("refresh_token")? == "refresh-1" => {
                granted.refreshed += 1;
                2
            }
            _ => return None,
        };
        Some(Response::json(&json!({
            "access_token": format!("access-{number}"),
            "refresh_token": format!("refresh-{number}"),
            "id_token": id_token(),
            "token_type": "Bearer",
            "expires_in": 28800,
            "scope": "user:inference user:profile",
            "account": { "uuid": "a", "email_address": "ada@acme.example" },
            "organization": { "uuid": "o", "name": "Acme" },
        })))
    }
}

/// Claims that nobody signed (RFC 7519, section 6): who reads them asked for them over TLS.
fn id_token() -> String {
    let claims = json!({
        "email": "ada@acme.example", "exp": 4_102_444_800_u64,
        "https://api.openai.com/auth": {
            "chatgpt_plan_type": "pro", "chatgpt_user_id": "u", "chatgpt_account_id": "a",
        },
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(json!({ "alg": "none" })), part(claims), URL_SAFE_NO_PAD.encode("x"))
}

/// Of a form, or of JSON, which one of the agents sends.
fn parameters(body: &[u8]) -> HashMap<String, String> {
    if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        let text = |value: Value| value.as_str().map(str::to_owned).unwrap_or(value.to_string());
        return object.into_iter().map(|(name, value)| (name, text(value))).collect();
    }
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// A person with a browser, whose machine reaches the provider.
struct Person {
    place: Place,
    provider: Arc<Provider>,
}

impl Person {
    fn new(script: &[&str]) -> Result<Self> {
        let place = Place::new()?;
        let model = Model::that_runs(script)?;
        let provider = Arc::new(Provider { model, granted: Mutex::default() });
        let asked = Arc::clone(&provider);
        let internet = Internet::answering(move |request| asked.answer(request))?;
        let authority = place.work().join("authority.pem");
        fs::write(&authority, internet.authority())?;
        let folder = place.home().join(".config/chaperone");
        fs::create_dir_all(&folder)?;
        let pass = ["NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE"];
        let policy = format!(
            "[network]\nmode = \"proxy\"\nupstream = \"{}\"\n[environment]\npass = {pass:?}\n",
            internet.proxy()
        );
        fs::write(folder.join("config.toml"), policy)?;
        let bin = place.home().join("bin");
        fs::create_dir_all(&bin)?;
        // The browser: what a person sees is written down.
        let browser = format!(
            "#!/bin/sh\necho \"$1\" >> \"$HOME/opened\"\nexec curl -sSL --cacert {authority:?} \
             --proxy {} --noproxy localhost,127.0.0.1 \"$1\" > \"$HOME/page\" 2>&1\n",
            internet.proxy()
        );
        fs::write(bin.join("xdg-open"), browser)?;
        fs::set_permissions(bin.join("xdg-open"), fs::Permissions::from_mode(0o755))?;
        Ok(Self { place, provider })
    }

    /// An agent in a session, without any key.
    fn inside(&self, program: &str, arguments: &[&str]) -> Result<Command> {
        // Whoever signs in waits for the browser, for as long as it takes.
        let mut command = self.place.command("timeout");
        command.arg("60").arg(chaperone()?).args(["run", "--", program]).args(arguments);
        let path = std::env::var("PATH")?;
        command.env("PATH", format!("{}/bin:{path}", self.place.home().display()));
        let authority = self.place.work().join("authority.pem");
        command.env("NODE_EXTRA_CA_CERTS", &authority).env("CODEX_CA_CERTIFICATE", authority);
        command.env("DISPLAY", ":0");
        Ok(command)
    }

    /// What is known when it did not work.
    fn report(&self, done: &Output) -> Result<String> {
        let file = |name| fs::read_to_string(self.place.home().join(name)).unwrap_or_default();
        let history = self.place.chaperone(&["history", "list"])?.output()?;
        let [opened, page] = [file("opened"), file("page")];
        let (said, history) = (said(done), text(&history.stdout));
        Ok(format!("{said}\nopened: {opened}\npage: {page}\n{history}"))
    }

    /// What is kept of an agent's sign-in, and where: by the agent for itself alone.
    fn kept(&self, file: &str) -> Result<String> {
        let path = self.place.home().join(".local/state/chaperone").join(file);
        let kept = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o077, 0, "{}", path.display());
        // Nor does the session of somebody else read it.
        let other = self.place.chaperone(&["run", "--", "cat"])?.arg(&path).output()?;
        assert!(!other.status.success() && other.stdout.is_empty(), "{}", said(&other));
        Ok(kept)
    }

    fn opened(&self) -> Result<String> {
        Ok(fs::read_to_string(self.place.home().join("opened"))?)
    }

    /// What was given out and refreshed.
    fn granted(&self) -> (usize, usize) {
        let granted = self.provider.granted.lock().unwrap_or_else(PoisonError::into_inner);
        (granted.tokens, granted.refreshed)
    }
}

#[test]
fn codex_signs_in_inside_and_refreshes_what_it_was_given() -> Result<()> {
    let person = Person::new(&[WRITE])?;
    let codex = program(".bin/codex")?;
    let done = person.inside(&codex, &["login"])?.output()?;
    assert!(done.status.success(), "{}", person.report(&done)?);
    let opened = person.opened()?;
    assert!(opened.starts_with("https://auth.openai.com/oauth/authorize?"), "{opened}");
    let done = person.inside(&codex, &["login", "status"])?.output()?;
    assert!(said(&done).contains("Logged in using ChatGPT"), "{}", said(&done));
    assert_eq!(person.granted(), (1, 0));
    // A model that its subscription is good for, at an address that needs nothing else of it.
    let model = "model_providers.scripted={name=\"scripted\",requires_openai_auth=true,\
                 base_url=\"https://api.openai.com/v1\",wire_api=\"responses\"}";
    let exec = ["exec", "-m", "scripted", "-c", "model_provider=\"scripted\"", "-c", model, "Go."];
    let done = person.inside(&codex, &exec)?.output()?;
    let [written] = results(&person.provider.model, &said(&done))?;
    assert!(written.text.contains("written"), "{written:?}");
    assert_eq!(person.granted(), (1, 1));
    assert!(person.kept("agents/codex/auth.json")?.contains("refresh-2"));
    Ok(())
}

#[test]
fn claude_code_signs_in_inside_and_refreshes_what_it_was_given() -> Result<()> {
    let person = Person::new(&[WRITE])?;
    let claude = program(".bin/claude")?;
    let done = person.inside(&claude, &["auth", "login"])?.output()?;
    assert!(done.status.success(), "{}", person.report(&done)?);
    let opened = person.opened()?;
    assert!(opened.starts_with("https://claude.com/cai/oauth/authorize?"), "{opened}");
    assert_eq!(person.granted(), (1, 0));
    let go = ["-p", "--dangerously-skip-permissions", "Go."];
    let done = person.inside(&claude, &go)?.output()?;
    let [written] = results(&person.provider.model, &said(&done))?;
    assert!(written.text.contains("written"), "{written:?}");
    assert_eq!(person.granted(), (1, 1));
    assert!(person.kept("agents/claude-code/.credentials.json")?.contains("refresh-2"));
    Ok(())
}
