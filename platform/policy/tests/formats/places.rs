//! Settings without their places, so that the same policy in two formats is the same value.

use chaperone_policy::{
    ApprovalsSettings, CommandSettings, CredentialsSettings, EnvironmentSettings,
    FilesystemSettings, IdentitySettings, LimitsSettings, Located, NetworkSettings, RemoteSettings,
    SandboxSettings, Settings, SigningSettings,
};

/// Something that knows its place.
trait Placed {
    fn forget(&mut self);
}

impl<T> Placed for Located<T> {
    fn forget(&mut self) {
        self.line = 0;
    }
}

impl<T: Placed> Placed for Option<T> {
    fn forget(&mut self) {
        self.iter_mut().for_each(Placed::forget);
    }
}

impl<T: Placed> Placed for Vec<T> {
    fn forget(&mut self) {
        self.iter_mut().for_each(Placed::forget);
    }
}

/// The same settings, as if everything stood on line 0.
pub(crate) fn without(mut settings: Settings) -> Settings {
    let Settings {
        revision,
        organisation,
        min_version,
        mode,
        until,
        when: _,
        when_unread: _,
        sandbox: SandboxSettings { minimum_tier },
        filesystem: FilesystemSettings { read, write, deny: denied, deny_write, sockets, unread },
        network:
            NetworkSettings {
                mode: network,
                allow,
                deny,
                unfamiliar,
                closed,
                upstream,
                login,
                bypass,
                ca,
                read_only,
                upload,
                rules: http_rules,
            },
        commands: CommandSettings { rules, closed: commands },
        environment: EnvironmentSettings { pass, deny: environment },
        credentials: CredentialsSettings { inject, closed: credentials },
        identity: IdentitySettings { organisations, unread: unread_organisations },
        signing: SigningSettings { ssh_keys, closed: signing },
        approvals: ApprovalsSettings { scopes, expires, unattended },
        limits: LimitsSettings { memory, processes, open_files, cpu_time, wall_time },
        remote: RemoteSettings { url, root, on_expiry },
    } = &mut settings;
    let placed: [&mut dyn Placed; 43] = [
        revision,
        organisation,
        min_version,
        mode,
        until,
        minimum_tier,
        read,
        write,
        denied,
        deny_write,
        sockets,
        network,
        allow,
        deny,
        unfamiliar,
        closed,
        upstream,
        login,
        bypass,
        ca,
        read_only,
        upload,
        http_rules,
        rules,
        commands,
        pass,
        environment,
        inject,
        credentials,
        organisations,
        ssh_keys,
        signing,
        scopes,
        expires,
        unattended,
        memory,
        processes,
        open_files,
        cpu_time,
        wall_time,
        url,
        root,
        on_expiry,
    ];
    placed.into_iter().for_each(Placed::forget);
    *unread = unread.map(|_| 0);
    *unread_organisations = unread_organisations.map(|_| 0);
    settings
}
