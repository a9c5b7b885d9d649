/// <reference types="vitest/config" />
// Builds the window for the app (`dist`), the same over recorded data for screenshots
// (`--mode recorded`, into `dist-recorded`), and runs its tests.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vite';

export default defineConfig(({ mode }) => ({
  plugins: [tailwindcss(), svelte()],
  // Under test, Svelte's browser build: the server build mounts nothing.
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  build: {
    // What Tauri runs on: WebKitGTK of Debian 12 and later, WKWebView of macOS 13.3, WebView2.
    target: ['safari16.4', 'chrome111'],
    outDir: mode === 'recorded' ? 'dist-recorded' : 'dist',
    // Data URLs would need `img-src data:` in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { host: '127.0.0.1', port: 1420, strictPort: true },
  test: {
    // axe is slow where other work shares the machine.
    testTimeout: 30_000,
    restoreMocks: true,
    projects: [
      {
        extends: true,
        test: { name: 'logic', environment: 'node', isolate: false, include: ['src/**/*.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'window',
          environment: 'jsdom',
          include: ['tests/**/*.test.ts'],
          setupFiles: ['tests/setup.ts'],
        },
      },
    ],
  },
}));
