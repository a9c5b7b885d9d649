//! Families of services where anybody gets a name, an inbox or a drop without saying who they are:
//! what leaves to one of them is in nobody's hands that the policy knows.

use crate::host::is_beneath;

/// What each family is for, and the names that it has everything beneath of.
const FAMILIES: [(&str, &[&str]); 6] = [
    (
        "It belongs to a service of dynamic names, which anybody points to any machine.",
        &[
            "afraid.org",
            "ddns.net",
            "duckdns.org",
            "dyndns.org",
            "dynu.net",
            "freeddns.org",
            "hopto.org",
            "localtest.me",
            "mooo.com",
            "myftp.org",
            "nip.io",
            "no-ip.org",
            "sslip.io",
            "sytes.net",
            "traefik.me",
            "xip.io",
            "zapto.org",
        ],
    ),
    (
        "It belongs to a service of tunnels, behind which anybody puts a machine of theirs.",
        &[
            "bore.pub",
            "devtunnels.ms",
            "localhost.run",
            "loca.lt",
            "lhr.life",
            "ngrok.app",
            "ngrok.dev",
            "ngrok-free.app",
            "ngrok-free.dev",
            "ngrok.io",
            "pinggy.link",
            "playit.gg",
            "serveo.net",
            "trycloudflare.com",
            "tunnelmole.net",
        ],
    ),
    (
        "It belongs to a service that collects requests for whoever made the address.",
        &[
            "beeceptor.com",
            "burpcollaborator.net",
            "interact.sh",
            "oast.fun",
            "oast.live",
            "oast.me",
            "oast.online",
            "oast.pro",
            "oast.site",
            "oastify.com",
            "pipedream.net",
            "requestbin.net",
            "requestcatcher.com",
            "webhook.site",
        ],
    ),
    (
        "It is a place for pasted texts, where anybody can leave and fetch some.",
        &[
            "0x0.st",
            "controlc.com",
            "dpaste.com",
            "dpaste.org",
            "ghostbin.com",
            "gist.github.com",
            "gist.githubusercontent.com",
            "hastebin.com",
            "ix.io",
            "justpaste.it",
            "paste.ee",
            "paste.rs",
            "pastebin.com",
            "privatebin.net",
            "rentry.co",
            "termbin.com",
        ],
    ),
    (
        "It is a place to drop files, where anybody can leave and fetch some.",
        &[
            "anonfiles.com",
            "bashupload.com",
            "catbox.moe",
            "file.io",
            "filebin.net",
            "gofile.io",
            "mediafire.com",
            "mega.nz",
            "oshi.at",
            "pixeldrain.com",
            "sendspace.com",
            "temp.sh",
            "tmpfiles.org",
            "transfer.sh",
            "ufile.io",
            "uguu.se",
            "we.tl",
            "wetransfer.com",
        ],
    ),
    (
        "It takes messages for chats, of which anybody can have one.",
        &["api.telegram.org", "discord.com", "discordapp.com", "hooks.slack.com"],
    ),
];

/// What is said of a host of one of the families.
pub(super) fn of(host: &str) -> Option<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| host == *name || is_beneath(host, name));
    FAMILIES.iter().find(|(_, names)| has(names)).map(|(text, _)| *text)
}
