//! A login at another proxy, and TLS with it: who gets the one, who has to prove itself in the
//! other, and what is said when either fails.

use super::{Stage, Through, head, says, stage_of};
use chaperone_egress::{Key, Login, Opener, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// `ada:open sesame`, as it is sent.
const BASIC: &str = "Basic YWRhOm9wZW4gc2VzYW1l";

/// What the keychain keeps, and how often it was asked.
#[derive(Clone)]
struct Keychain(Arc<Mutex<(String, usize)>>);

impl Keychain {
    fn of(value: &str) -> Self {
        Self(Arc::new(Mutex::new((value.to_owned(), 0))))
    }

    fn set(&self, value: &str) {
        self.0.lock().unwrap().0 = value.to_owned();
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn login(&self) -> Option<Arc<Login>> {
        let kept = Arc::clone(&self.0);
        let fetch = move || {
            let mut kept = kept.lock().unwrap();
            kept.1 += 1;
            match kept.0.as_str() {
                "" => Err("It was never set: chaperone secret set acme-proxy.".to_owned()),
                value => Ok(Key::new(value.as_bytes().to_vec())),
            }
        };
        Some(Arc::new(Login::new("acme-proxy", Arc::new(fetch))))
    }
}

fn stage_with(trust: Option<&str>, login: Option<Arc<Login>>) -> Stage {
    stage_of(|at| {
        let trust = trust.map(|pem| Arc::new(Trust::new(pem)));
        Through { trust, login, ..Through::at(at) }
    })
}

/// TLS as this host, and who says that it is that, as PEM.
fn certified(host: &str) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &authority);
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.unwrap().der().clone()], key)
        .unwrap();
    (Arc::new(config), authority.pem())
}

fn in_tls<S: Read + Write>(
    config: &Arc<ServerConfig>,
    stream: S,
) -> StreamOwned<ServerConnection, S> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

/// All that is answered to a request.
fn answer(stage: &Stage, request: &str) -> String {
    let mut client = stage.client();
    write!(client, "{request} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    said
}

const REQUESTS: [&str; 2] = ["CONNECT api.example:443", "GET http://api.example/a"];

#[test]
fn a_tunnel_goes_within_tls_to_a_proxy_that_proves_itself_and_the_login_to_nobody_else() {
    let (config, pem) = certified("127.0.0.1");
    let keychain = Keychain::of("ada:open sesame");
    let stage = stage_with(Some(&pem), keychain.login());
    let mut client = stage.client();
    write!(client, "CONNECT api.example:443 HTTP/1.1\r\nProxy-Authorization: Basic mine\r\n\r\n")
        .unwrap();
    let mut theirs = in_tls(&config, stage.accept());
    assert_eq!(
        head(&mut theirs),
        format!(
            "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\
             Proxy-Authorization: {BASIC}\r\n\r\n"
        )
    );
    // With what the server says first.
    theirs.write_all(b"HTTP/1.1 200 Connected\r\n\r\n220 welcome\r\n").unwrap();
    theirs.flush().unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    says(&mut client, "220 welcome\r\n");
    client.write_all(b"QUIT\r\n").unwrap();
    says(&mut theirs, "QUIT\r\n");
    // Each end of stream is passed on by itself.
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    theirs.write_all(b"221 bye\r\n").unwrap();
    theirs.flush().unwrap();
    // Without a word of TLS, as many do.
    drop(theirs);
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "221 bye\r\n");
    let proxy = stage.judge.proxy;
    assert_eq!(stage.asked(), [format!("acme-proxy to {proxy}")]);

    // The next connection asks the keychain for nothing.
    let mut client = stage.client();
    write!(client, "CONNECT api.example:443 HTTP/1.1\r\n\r\n").unwrap();
    assert!(head(&mut in_tls(&config, stage.accept())).contains(BASIC));
    assert_eq!(keychain.asked(), 1);
}

#[test]
fn a_proxy_that_does_not_prove_itself_hears_nothing() {
    let (_, trusted) = certified("127.0.0.1");
    let (other_host, of_other_host) = certified("proxy.example");
    let (unknown, _) = certified("127.0.0.1");
    for (config, pem) in [(other_host, of_other_host), (unknown, trusted)] {
        let keychain = Keychain::of("ada:open sesame");
        let stage = stage_with(Some(&pem), keychain.login());
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in REQUESTS {
                    let mut theirs = in_tls(&config, stage.accept());
                    assert!(theirs.read(&mut [0]).is_err());
                }
            });
            for request in REQUESTS {
                let said = answer(&stage, request);
                let what = format!("No TLS with the upstream proxy {}", stage.judge.proxy);
                assert!(said.starts_with("HTTP/1.1 502 ") && said.contains(&what), "{said}");
            }
        });
        assert_eq!((stage.asked(), keychain.asked()), (vec![], 0));
    }
}

#[test]
fn a_plain_request_carries_the_login_and_an_answer_that_repeats_it_does_not() {
    let stage = stage_with(None, Keychain::of("ada:open sesame").login());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut theirs = stage.accept();
            let said = head(&mut theirs);
            let fields = said.to_lowercase();
            assert!(said.starts_with("GET http://api.example/a HTTP/1.1\r\n"), "{said}");
            assert_eq!(fields.matches("proxy-authorization: ").count(), 1, "{said}");
            assert!(said.contains(BASIC) && !said.contains("Basic mine"), "{said}");
            assert!(fields.contains("\r\naccept-encoding: identity\r\n"), "{said}");
            let body = format!("{said}ada:open sesame, open sesame");
            let length = body.len();
            write!(
                theirs,
                "HTTP/1.1 200 {BASIC}\r\nX-Echo: {BASIC}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        });
        let fields = "Proxy-Authorization: Basic mine\r\nAccept-Encoding: gzip";
        let said = answer(&stage, &format!("GET http://api.example/a HTTP/1.1\r\n{fields}\r\nX:"));
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        for secret in ["YWRhOm9wZW4gc2VzYW1l", "open sesame"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(said.contains("Basic ********************\r\n"), "{said}");
        assert!(said.ends_with("***************, ***********"), "{said}");
    });
}

#[test]
fn a_proxy_that_wants_another_login_is_told_of_with_what_to_do_and_nothing_that_it_says() {
    let never = "wants a login: `chaperone secret set NAME` takes USER:PASSWORD";
    let foreign = "wants a login by NTLM or Negotiate, which Chaperone does not speak";
    let wrong = "does not take the login \"acme-proxy\": `chaperone secret set acme-proxy`";
    let (windows, basic) = ("Negotiate, NTLM", "Basic realm=\"Acme, Digest\"");
    for (has_login, asks, expected) in [
        (false, basic, never),
        (true, basic, wrong),
        (false, windows, foreign),
        (true, windows, foreign),
    ] {
        for request in REQUESTS {
            let keychain = Keychain::of("ada:open sesame");
            let stage = stage_with(None, keychain.login().filter(|_| has_login));
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut theirs = stage.accept();
                    let said = head(&mut theirs);
                    assert_eq!(said.contains(BASIC), has_login, "{said}");
                    let (heard, length) = (BASIC, said.len());
                    write!(
                        theirs,
                        "HTTP/1.1 407 {heard}\r\nProxy-Authenticate: {asks}\r\nX-Echo: {heard}\r\n\
                         Content-Length: {length}\r\n\r\n{said}"
                    )
                    .unwrap();
                });
                let said = answer(&stage, request);
                assert!(said.starts_with("HTTP/1.1 502 Bad Gateway"), "{said}");
                assert!(said.contains(expected), "{said}");
                assert!(!said.contains("YWRh") && !said.contains("Echo"), "{said}");
            });
        }
    }
}

#[test]
fn a_login_that_was_not_taken_is_tried_again_when_it_was_set_anew() {
    let keychain = Keychain::of("ada:wrong password");
    let stage = stage_with(None, keychain.login());
    let answers = |said: &'static str| {
        let mut theirs = stage.accept();
        let heard = head(&mut theirs);
        write!(theirs, "{said}\r\n\r\n").unwrap();
        heard
    };
    thread::scope(|scope| {
        scope.spawn(|| assert!(!answers("HTTP/1.1 407 Who\r\nContent-Length: 0").contains(BASIC)));
        assert!(answer(&stage, REQUESTS[0]).contains("Until then it is not tried again"));
        for request in REQUESTS {
            // It is connected to, and hears nothing.
            let said = answer(&stage, request);
            assert!(said.contains("does not take the login"), "{said}");
            assert_eq!(stage.accept().read(&mut [0]).unwrap(), 0);
        }
    });
    keychain.set("ada:open sesame");
    let mut client = stage.client();
    write!(client, "{} HTTP/1.1\r\n\r\n", REQUESTS[0]).unwrap();
    assert!(answers("HTTP/1.1 200 Connected").contains(BASIC));
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_login_that_is_not_to_be_had_is_said_before_the_proxy_is_told_anything() {
    for (value, expected) in [
        ("", "is not to be had: It was never set: chaperone secret set acme-proxy."),
        ("open sesame", "is not USER:PASSWORD: `chaperone secret set acme-proxy` takes both"),
    ] {
        let stage = stage_with(None, Keychain::of(value).login());
        for request in REQUESTS {
            let said = answer(&stage, request);
            assert!(said.starts_with("HTTP/1.1 502 ") && said.contains(expected), "{said}");
            assert_eq!(stage.accept().read(&mut [0]).unwrap(), 0);
        }
        assert_eq!(stage.asked(), [""; 0]);
    }
}

#[test]
fn tls_is_opened_to_a_host_behind_a_proxy_that_is_spoken_to_in_tls() {
    let ((outer, proxy_pem), (inner, host_pem)) = (certified("127.0.0.1"), certified("localhost"));
    let opener = Arc::new(Opener::new(Arc::new(Trust::new(&host_pem))).unwrap());
    let own = CertificateDer::from_pem_slice(opener.certificate().as_bytes()).unwrap();
    let stage = stage_of(|at| {
        let trust = Some(Arc::new(Trust::new(&proxy_pem)));
        Through { trust, opener: Some(Arc::clone(&opener)), ..Through::at(at) }
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut theirs = in_tls(&outer, stage.accept());
            assert!(head(&mut theirs).starts_with("CONNECT localhost:443 "));
            theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut host = in_tls(&inner, theirs);
            assert!(head(&mut host).starts_with("GET /deep HTTP/1.1\r\n"));
            host.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            host.flush().unwrap();
        });
        let mut client = stage.client();
        write!(client, "CONNECT localhost:443 HTTP/1.1\r\n\r\n").unwrap();
        assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
        let mut trusted = RootCertStore::empty();
        trusted.add(own).unwrap();
        let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut client = StreamOwned::new(connection, client);
        client.write_all(b"GET /deep HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(head(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
        says(&mut client, "ok");
    });
}

#[test]
fn what_a_proxy_does_not_take_is_not_kept() {
    const MANY: usize = 64 << 20;
    let (config, pem) = certified("127.0.0.1");
    let stage = stage_with(Some(&pem), None);
    let mut client = stage.client();
    write!(client, "CONNECT api.example:443 HTTP/1.1\r\n\r\n").unwrap();
    let mut theirs = in_tls(&config, stage.accept());
    head(&mut theirs);
    theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    theirs.flush().unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    client.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let (piece, mut sent) = (vec![7; 1 << 16], 0);
    let error = loop {
        match client.write(&piece) {
            Ok(count) => sent += count,
            Err(error) => break error.kind(),
        }
        // What fits is what the sockets hold.
        assert!(sent < MANY);
    };
    assert!(matches!(error, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}
