//! The finite list of files in a workspace that other programs act on by themselves: what an
//! agent may not create or change there. `docs/protected-paths.md` is written from this list,
//! and a test fails when the two differ.

use std::path::Path;

/// One group of the list.
#[derive(Debug, Clone, Copy)]
pub struct Protected {
    /// What the group is, as a heading.
    pub what: &'static str,
    /// Who acts on these files, and when.
    pub why: &'static str,
    /// Paths relative to the workspace's top; a folder stands for everything beneath it.
    pub paths: &'static [&'static str],
}

/// The part of a path in a workspace that the list has: who names that as writable, in so many words,
/// lets it be changed. Nothing lifts what is protected and not listed, such as git's own files.
pub fn listed<'p>(workspace: &Path, path: &'p Path) -> Option<&'p Path> {
    let within = path.ancestors().take_while(|above| above.starts_with(workspace));
    let mut within = within.filter(|above| *above != workspace);
    within.find(|above| {
        PROTECTED.iter().flat_map(|group| group.paths).any(|listed| above.ends_with(listed))
    })
}

/// What is protected at the top of a workspace, beside git's own files.
pub const PROTECTED: &[Protected] = &[
    Protected {
        what: "Chaperone's own",
        why: "Chaperone reads it when the next session starts.",
        paths: &[".chaperone.toml"],
    },
    Protected {
        what: "Agents' permission files",
        why: "An agent reads them when it starts, and takes hooks, tool servers and permissions from them.",
        paths: &[
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".claude/hooks",
            ".claude/agents",
            ".claude/commands",
            ".claude/skills",
            ".claude/plugins",
            ".mcp.json",
            ".codex",
            ".agents",
            ".gemini",
            ".opencode",
            "opencode.json",
            "opencode.jsonc",
            ".cursor",
            ".windsurf",
            ".continue",
            ".roo",
            ".roomodes",
            ".kilocode",
            ".kiro",
            ".qwen",
            ".amp",
            ".goose",
            ".crush.json",
            "crush.json",
            ".aider.conf.yml",
            ".github/hooks",
        ],
    },
    Protected {
        what: "Git hooks by other means",
        why: "Their managers run what stands in them at a commit or a push.",
        paths: &[
            ".husky",
            ".githooks",
            ".pre-commit-config.yaml",
            ".pre-commit-config.yml",
            "lefthook.yml",
            "lefthook.yaml",
            "lefthook.toml",
            "lefthook.json",
            ".lefthook.yml",
            ".lefthook.yaml",
            "lefthook-local.yml",
            ".lefthook",
            ".lefthook-local",
            ".overcommit.yml",
        ],
    },
    Protected {
        what: "Shell start-up and folder entry",
        why: "A shell runs them when it starts or when somebody enters the folder.",
        paths: &[
            ".envrc",
            ".direnv",
            ".mise.toml",
            "mise.toml",
            ".mise.local.toml",
            "mise.local.toml",
            ".mise",
            ".config/mise",
            ".autoenv",
            ".autoenv.zsh",
            ".bashrc",
            ".bash_profile",
            ".bash_login",
            ".bash_logout",
            ".profile",
            ".zshrc",
            ".zshenv",
            ".zprofile",
            ".zlogin",
            ".config/fish",
            ".gitconfig",
            ".config/git",
        ],
    },
    Protected {
        what: "Editor tasks and development containers",
        why: "An editor runs them when the folder is opened or a task is started.",
        paths: &[
            ".vscode/tasks.json",
            ".vscode/settings.json",
            ".vscode/launch.json",
            ".vscode/mcp.json",
            ".vscode/extensions.json",
            ".idea",
            ".zed",
            ".fleet",
            ".devcontainer",
            ".devcontainer.json",
            ".gitpod.yml",
            ".exrc",
            ".nvimrc",
            ".nvim.lua",
            ".vimrc",
            ".dir-locals.el",
        ],
    },
    Protected {
        what: "CI definitions",
        why: "A build service runs them, with its own secrets, when the branch is pushed.",
        paths: &[
            ".github/workflows",
            ".github/actions",
            ".gitlab-ci.yml",
            ".gitlab/ci",
            ".circleci",
            "Jenkinsfile",
            "azure-pipelines.yml",
            "azure-pipelines.yaml",
            ".azure-pipelines",
            ".travis.yml",
            "bitbucket-pipelines.yml",
            ".drone.yml",
            ".woodpecker.yml",
            ".woodpecker.yaml",
            ".woodpecker",
            ".buildkite",
            "appveyor.yml",
            ".appveyor.yml",
            ".cirrus.yml",
            ".semaphore",
            ".teamcity",
            "cloudbuild.yaml",
            "cloudbuild.yml",
            "buildspec.yml",
            ".tekton",
            ".forgejo/workflows",
            ".gitea/workflows",
            ".build.yml",
            ".builds",
            "codemagic.yaml",
        ],
    },
];

/// The list as a page for people, with what it leaves.
#[cfg(test)]
pub(super) fn page() -> String {
    let mut page = include_str!("protected.md").to_owned();
    for Protected { what, why, paths } in PROTECTED {
        page.push_str(&format!("\n## {what}\n\n{why}\n\n"));
        for path in *paths {
            page.push_str(&format!("- `{path}`\n"));
        }
    }
    page
}
