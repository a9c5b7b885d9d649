// Pictures of every page and state in both themes, over recorded data in a plain browser, with
// an accessibility check of each: `node scripts/screenshots.mjs FOLDER [NAME…]`.
// Exits 1 when axe finds a violation or the page reports an error.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('..', import.meta.url));
const [folder = join(root, 'test-results/screenshots'), ...names] = process.argv.slice(2);
const built = join(root, 'dist-recorded');

/** The app's own policy: what it would refuse there is an error here. */
const CSP =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'none'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SIZES = {
    usual: { viewport: { width: 1280, height: 800 } },
    small: { viewport: { width: 1000, height: 640 } },
    // The smallest window at 200 %: half as many CSS pixels, each twice as large.
    zoomed: { viewport: { width: 500, height: 320 }, deviceScaleFactor: 2 },
};

const click = (id) => (page) => page.getByTestId(id).first().click();

/** name, query, size, what to do first */
const SHOTS = [
    ['home-busy', 'recorded=busy&page=home'],
    ['home-fresh', 'recorded=fresh&page=home', 'small'],
    ['home-managed', 'recorded=managed&page=home'],
    ['home-not-protected', 'recorded=calm&page=home'],
    ['home-findings', 'recorded=long&page=home', 'small'],
    ['home-error', 'recorded=broken&page=home', 'small'],
    ['home-loading', 'recorded=slow&page=home', 'small', (page) => page.waitForTimeout(300)],
    ['home-start', 'recorded=busy&page=home', 'small', click('start-gemini')],
    ['home-zoomed', 'recorded=busy&page=home', 'zoomed'],
    ['requests-busy', 'recorded=busy&page=requests', 'usual', ready],
    ['requests-new', 'recorded=busy&page=requests', 'small'],
    ['requests-host', 'recorded=busy&page=requests&id=r-21f7', 'small', ready],
    ['requests-hosts', 'recorded=install&page=requests', 'usual', ready],
    ['requests-hosts-small', 'recorded=install&page=requests', 'small', ready],
    ['requests-managed', 'recorded=managed&page=requests', 'small', ready],
    ['requests-long', 'recorded=long&page=requests', 'small', ready],
    ['requests-moved-on', 'recorded=long&page=requests&id=r-0ff0', 'small'],
    ['requests-note', 'recorded=busy&page=requests', 'small', note],
    ['requests-answered', 'recorded=busy&page=requests&id=r-bbbb', 'small'],
    ['requests-late', 'recorded=late&page=requests', 'small', late],
    ['requests-too-soon', 'recorded=busy&page=requests', 'small', tooSoon],
    ['requests-empty', 'recorded=fresh&page=requests', 'small'],
    ['requests-error', 'recorded=broken&page=requests', 'small'],
    ['requests-zoomed', 'recorded=busy&page=requests', 'zoomed', ready],
    ['activity-sessions', 'recorded=busy&page=activity'],
    ['activity-sessions-small', 'recorded=busy&page=activity', 'small'],
    ['activity-events', 'recorded=many&page=activity', 'small', click('view-events')],
    ['activity-event', 'recorded=busy&page=activity', 'usual', event],
    ['activity-hosts', 'recorded=busy&page=activity', 'small', click('view-hosts')],
    ['activity-hosts-wide', 'recorded=busy&page=activity', 'usual', click('view-hosts')],
    ['activity-host', 'recorded=busy&page=activity', 'usual', host],
    ['activity-hosts-of-session', 'recorded=busy&page=activity', 'small', click('session-hosts')],
    ['activity-hosts-zoomed', 'recorded=busy&page=activity', 'zoomed', click('view-hosts')],
    ['activity-hosts-empty', 'recorded=fresh&page=activity', 'small', click('view-hosts')],
    ['activity-empty', 'recorded=fresh&page=activity', 'small'],
    ['activity-error', 'recorded=broken&page=activity', 'small'],
    ['activity-zoomed', 'recorded=busy&page=activity', 'zoomed'],
    ['home-observe', 'recorded=observe&page=home', 'small'],
    ['rules-values', 'recorded=busy&page=rules'],
    ['rules-managed', 'recorded=managed&page=rules', 'small'],
    ['rules-value', 'recorded=managed&page=rules&id=network.mode', 'small'],
    ['rules-list', 'recorded=managed&page=rules&id=commands.rule'],
    ['rules-statuses', 'recorded=long&page=rules'],
    ['rules-not-understood', 'recorded=long&page=rules', 'small', click('not-understood')],
    ['rules-restart', 'recorded=long&page=rules&id=filesystem.read', 'small'],
    ['rules-strictest', 'recorded=long&page=rules&id=network.mode', 'small'],
    ['rules-unknown', 'recorded=long&page=rules', 'small', unknown],
    ['rules-unset', 'recorded=busy&page=rules', 'small', click('show-unset')],
    ['rules-nothing-found', 'recorded=busy&page=rules', 'small', search('no such key')],
    ['rules-why', 'recorded=busy&page=rules', 'small', why],
    ['rules-sources', 'recorded=managed&page=rules', 'usual', click('view-layers')],
    ['rules-sources-broken', 'recorded=long&page=rules', 'usual', click('view-layers')],
    ['rules-sources-macos', 'recorded=macos&page=rules', 'small', sources],
    ['rules-sources-windows', 'recorded=windows&page=rules', 'small', sources],
    ['rules-windows', 'recorded=windows&page=rules&id=network.mode', 'small'],
    ['rules-support', 'recorded=managed&page=rules', 'usual', click('open-report')],
    ['rules-error', 'recorded=broken&page=rules', 'small'],
    ['rules-zoomed', 'recorded=managed&page=rules', 'zoomed'],
    ['rules-sources-zoomed', 'recorded=managed&page=rules', 'zoomed', click('view-layers')],
    ['keys-busy', 'recorded=busy&page=keys'],
    ['keys-small', 'recorded=busy&page=keys', 'small'],
    ['keys-kept', 'recorded=busy&page=keys&id=anthropic', 'small'],
    ['keys-missing', 'recorded=busy&page=keys&id=openai', 'small'],
    ['keys-unbound', 'recorded=busy&page=keys&id=npm-publish', 'small'],
    ['keys-unlisted', 'recorded=busy&page=keys&id=sentry', 'small'],
    ['keys-managed', 'recorded=managed&page=keys&id=github'],
    ['keys-long', 'recorded=long&page=keys', 'small', click('credential-row')],
    ['keys-add', 'recorded=busy&page=keys', 'small', click('add-credential')],
    ['keys-no-keychain', 'recorded=keyless&page=keys', 'small', keyless],
    ['keys-replace', 'recorded=busy&page=keys&id=github', 'small', click('replace-credential')],
    ['keys-remove', 'recorded=busy&page=keys&id=github', 'small', click('remove-credential')],
    ['keys-empty', 'recorded=fresh&page=keys', 'small'],
    ['keys-error', 'recorded=broken&page=keys', 'small'],
    ['keys-zoomed', 'recorded=managed&page=keys', 'zoomed'],
    ['keys-detail-zoomed', 'recorded=busy&page=keys&id=github', 'zoomed'],
    ['shortcuts', 'recorded=busy&page=home', 'small', click('shortcuts')],
    ['paused', 'recorded=calm&page=requests', 'small'],
];

async function ready(page) {
    await page.locator('[data-testid=request-card][data-ready=true]').waitFor();
}
async function tooSoon(page) {
    // At once, not when it is enabled.
    await page.getByTestId('allow-once').click({ force: true });
}
async function note(page) {
    await ready(page);
    await page.keyboard.press('n');
    await page.getByTestId('request-note').fill('Open a pull request instead.');
}
async function late(page) {
    await ready(page);
    await page.keyboard.press('d');
    await page.getByTestId('request-notice').waitFor();
}
async function event(page) {
    await page.getByTestId('view-events').click();
    await page.getByTestId('event-row').nth(5).click();
    await page.getByTestId('event-detail').waitFor();
}
async function host(page) {
    await page.getByTestId('view-hosts').click();
    await page.getByText('paste.example').first().click();
    await page.getByTestId('host-session').first().waitFor();
}
async function keyless(page) {
    await page.getByTestId('add-credential').click();
    await page.getByTestId('credential-name').fill('anthropic');
    await page.getByTestId('credential-value').fill('not-a-real-key');
    await page.keyboard.press('Enter');
    await page.getByTestId('problem').waitFor();
}
async function unknown(page) {
    await page.getByTestId('value-row').nth(1).click();
    await page.getByTestId('unknown-detail').waitFor();
}
async function sources(page) {
    await page.getByTestId('view-layers').click();
    await page.getByTestId('absent-layers').click();
}
function search(text) {
    return (page) => page.getByTestId('rules-search').fill(text);
}
async function why(page) {
    await page.getByTestId('why').fill('git push origin main');
    await page.keyboard.press('Enter');
    await page.getByTestId('why-answer').waitFor();
}

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

function serve() {
    const server = createServer((request, response) => {
        const path = normalize(new URL(request.url ?? '/', 'http://x').pathname);
        if (path === '/favicon.ico') return void response.writeHead(204).end();
        const file = join(built, path === '/' ? 'index.html' : path);
        if (!existsSync(file)) return void response.writeHead(404).end();
        response.writeHead(200, {
            'content-type': `${TYPES[extname(file)] ?? 'application/octet-stream'}; charset=utf-8`,
            'content-security-policy': CSP,
        });
        response.end(readFileSync(file));
    });
    return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

const build = spawnSync(
    process.execPath,
    [
        join(root, 'node_modules/vite/bin/vite.js'),
        'build',
        '--mode',
        'recorded',
        '--logLevel',
        'error',
    ],
    { cwd: root, stdio: 'inherit' },
);
if (build.status !== 0) process.exit(build.status ?? 1);

mkdirSync(folder, { recursive: true });
const server = await serve();
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const problems = [];

for (const [name, query, size = 'usual', act] of SHOTS) {
    if (names.length > 0 && !names.some((wanted) => name.startsWith(wanted))) continue;
    for (const theme of ['light', 'dark']) {
        const context = await browser.newContext({ ...SIZES[size], reducedMotion: 'reduce' });
        const page = await context.newPage();
        page.on('pageerror', (error) => problems.push(`${name} ${theme}: ${error.message}`));
        page.on('console', (message) => {
            if (message.type() === 'error') problems.push(`${name} ${theme}: ${message.text()}`);
        });
        await page.goto(`http://127.0.0.1:${server.address().port}/?${query}&theme=${theme}`);
        await page.locator('main').waitFor();
        await page.waitForTimeout(100);
        if (act) await act(page);
        await page.waitForTimeout(50);
        await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
        // Handed over by the debugger, which the page's policy does not bind.
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        for (const { id, help, nodes } of violations) {
            problems.push(
                `${name} ${theme}: ${id}: ${help}: ${nodes[0]?.html.slice(0, 200)} ${nodes[0]?.failureSummary ?? ''}`,
            );
        }
        await context.close();
    }
}

await browser.close();
server.close();
process.stdout.write(`Pictures in ${folder}\n`);
if (problems.length > 0) {
    process.stderr.write(`${[...new Set(problems)].join('\n')}\n`);
    process.exitCode = 1;
}
