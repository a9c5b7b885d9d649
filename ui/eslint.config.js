import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

export default ts.config(
    { ignores: ['dist/', 'dist-recorded/', 'src/lib/bindings.ts'] },
    js.configs.recommended,
    ...ts.configs.recommended,
    ...svelte.configs.recommended,
    { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
    {
        files: ['**/*.svelte', '**/*.svelte.ts'],
        languageOptions: { parserOptions: { parser: ts.parser } },
    },
    {
        // Pages and components reach the app through `backend.ts` alone.
        files: ['src/**'],
        ignores: ['src/lib/backend/tauri.ts', 'src/lib/bindings.ts'],
        rules: {
            'no-restricted-imports': ['error', { patterns: ['@tauri-apps/*'] }],
            'no-console': 'error',
            // Raw markup is how text from an agent would become part of the window.
            'svelte/no-at-html-tags': 'error',
            // Only what is shown is reactive; sets made and dropped within a call are not.
            'svelte/prefer-svelte-reactivity': 'off',
        },
    },
);
