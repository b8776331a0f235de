// How the window is built, served for a look at it, and tested.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

/** What the real window allows; the preview obeys it too, so that a violation is seen early. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  base: './',
  // In `vite build` only the mode decides whether the invented data is part of the bundle.
  define: { __MOCK__: JSON.stringify(mode !== 'production') },
  // Svelte's browser half is what tests render.
  resolve: process.env['VITEST'] ? { conditions: ['browser'] } : {},
  json: { namedExports: false },
  build: {
    target: 'safari16',
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    // A data: address would need a wider policy.
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  // The German of what the node says lies with the tray that says it too.
  server: { fs: { allow: ['..'] } },
  preview: {
    port: 4173,
    // Another clone may be pictured at the same time.
    strictPort: false,
    headers: { 'Content-Security-Policy': POLICY },
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
    // Far more than any takes, also where every core is in use.
    testTimeout: 60_000,
  },
}));
