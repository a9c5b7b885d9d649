//! What every agent needs of a machine, as tables: system folders, device files, toolchains in
//! the home folder, and the secrets that lie among the system's files.

/// Read and executed by every program.
pub(super) const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu/store",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/proc",
    "/sys",
    // NixOS puts programs and drivers here.
    "/run/current-system",
    "/run/opengl-driver",
    // Package databases, answered to `dpkg -S`, `rpm -q` and build scripts; and what
    // certificates and fonts are compiled into.
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/rpm",
    "/var/lib/pacman",
    "/var/lib/alternatives",
    "/var/lib/ca-certificates",
    "/var/lib/snapd/snap",
    "/var/cache/fontconfig",
    "/var/cache/man",
];

/// Opened for reading and writing; nothing is created there.
pub(super) const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
];

/// The machine's temporary folders. In the full tier the session's own is called so inside, the
/// first of them first, unless the policy grants that very one.
pub(crate) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Other terminals of the user. Private to the session only in the full tier.
pub(super) const TERMINALS: &str = "/dev/pts";
/// POSIX shared memory: what processes share by name. Private to the session only in the full tier,
/// and there whether it is granted or not.
pub(crate) const SHARED_MEMORY: &str = "/dev/shm";

/// Toolchains and their configuration, relative to home. Folders that also hold credentials are
/// named by their parts: `~/.cargo/credentials.toml`, `~/.config/git/credentials`,
/// `~/.gem/credentials` and `~/.m2/settings.xml` stay out.
pub(super) const TOOLCHAINS: &[&str] = &[
    ".cargo/bin",
    ".cargo/registry",
    ".cargo/git",
    ".cargo/config.toml",
    ".cargo/config",
    ".cargo/env",
    ".cargo/env.fish",
    ".rustup",
    ".nvm",
    ".fnm",
    ".local/share/fnm",
    ".volta",
    ".n",
    ".local/share/pnpm",
    ".bun/bin",
    ".bun/install",
    ".deno/bin",
    ".asdf",
    ".asdfrc",
    ".tool-versions",
    ".local/share/mise",
    ".config/mise/config.toml",
    ".pyenv",
    ".rye",
    ".local/share/uv",
    ".local/share/pipx",
    ".local/pipx",
    ".local/share/virtualenvs",
    ".local/share/pypoetry",
    "miniconda3",
    "miniforge3",
    "anaconda3",
    ".rbenv",
    ".gem/ruby",
    ".local/share/gem/ruby",
    ".sdkman",
    ".jenv",
    ".jdks",
    ".m2/repository",
    ".m2/wrapper",
    ".gradle/wrapper",
    "go/bin",
    "go/pkg",
    ".dotnet",
    ".nuget/packages",
    ".ghcup",
    ".stack/programs",
    ".opam",
    ".elan",
    ".juliaup",
    ".swiftly",
    ".local/share/swiftly",
    ".pub-cache/hosted",
    ".nix-profile",
    ".local/state/nix/profiles",
    ".foundry/bin",
    ".local/bin",
    ".local/lib",
    ".gitconfig",
    ".config/git/config",
    ".config/git/ignore",
    ".config/git/attributes",
    ".cache/ms-playwright",
];

/// Variables that move a toolchain elsewhere, and the parts of it that are read.
/// An empty list means the whole folder.
pub(super) const MOVED_TOOLCHAINS: &[(&str, &[&str])] = &[
    ("CARGO_HOME", &["bin", "registry", "git", "config.toml", "config", "env"]),
    ("RUSTUP_HOME", &[]),
    ("NVM_DIR", &[]),
    ("FNM_DIR", &[]),
    ("VOLTA_HOME", &[]),
    ("PNPM_HOME", &[]),
    ("BUN_INSTALL", &["bin", "install"]),
    ("ASDF_DATA_DIR", &[]),
    ("MISE_DATA_DIR", &[]),
    ("PYENV_ROOT", &[]),
    ("RBENV_ROOT", &[]),
    ("SDKMAN_DIR", &[]),
    ("JAVA_HOME", &[]),
    ("GOROOT", &[]),
    ("GOPATH", &["bin", "pkg"]),
    ("DOTNET_ROOT", &[]),
    ("VIRTUAL_ENV", &[]),
    ("CONDA_PREFIX", &[]),
    ("ANDROID_HOME", &[]),
    ("PLAYWRIGHT_BROWSERS_PATH", &[]),
    // A company's certificate authorities.
    ("SSL_CERT_FILE", &[]),
    ("SSL_CERT_DIR", &[]),
    ("NIX_SSL_CERT_FILE", &[]),
    ("NODE_EXTRA_CA_CERTS", &[]),
    ("REQUESTS_CA_BUNDLE", &[]),
    ("CURL_CA_BUNDLE", &[]),
    ("GIT_SSL_CAINFO", &[]),
    ("PIP_CERT", &[]),
];

/// Secrets among the system's files. Only root and members of a few groups can read them, so
/// only those that the supervisor's own user can read are hidden.
pub(super) const SECRETS: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/security/opasswd",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt/archive",
    "/etc/letsencrypt/live",
    "/etc/letsencrypt/accounts",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ppp/chap-secrets",
    "/etc/ppp/pap-secrets",
    "/etc/krb5.keytab",
    "/etc/docker/key.json",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/netplan",
    "/etc/iwd",
    "/etc/wpa_supplicant",
    // The kernel's own view of every process, for root.
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/sys/firmware/efi/efivars",
];

/// Where host keys lie: `/etc/ssh/ssh_host_*_key`.
pub(super) const SSH_HOST_KEYS: &str = "/etc/ssh";
