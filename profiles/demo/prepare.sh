#!/bin/sh
# Makes the workspace of the demo agent: a small repository, with a remote that is a folder beside
# its files, so that nothing leaves this machine. Usage: sh prepare.sh DIR, DIR holding agent.sh.
set -eu

cd "$1"

cat >README.md <<'TEXT'
# Greeter

Says hello to everyone in names.txt.
TEXT

printf '%s\n' Ada Grace Linus >names.txt

cat >build.sh <<'TEXT'
#!/bin/sh
# Builds out/greeting.txt from names.txt, and checks it.
set -eu
mkdir -p out
while read -r name; do
    printf 'Hello, %s.\n' "$name"
done <names.txt >out/greeting.txt
[ "$(wc -l <out/greeting.txt)" -eq "$(wc -l <names.txt)" ]
printf 'built out/greeting.txt, %s lines\n' "$(wc -l <out/greeting.txt | tr -d ' ')"
TEXT

printf '%s\n' /agent.sh /out/ /remote.git/ >.gitignore

# The person's own git settings (signing, hooks, templates) stay out of it.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init --quiet --initial-branch=main --template=
mkdir -p .git/hooks .git/info
git config user.name 'Demo agent'
git config user.email 'demo@example.invalid'
git config commit.gpgsign false
git add .
git commit --quiet --message 'Start the greeter'
git init --quiet --bare --initial-branch=main --template= remote.git
git remote add origin ./remote.git
git push --quiet origin main
