// Builds into ../assets/ui, which the executable embeds. Addresses are relative, so that a path prefix
// in front of the server does not matter; names hold a hash in hex, which the server takes as "keep for ever".
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../assets/ui',
    emptyOutDir: true,
    assetsDir: '',
    assetsInlineLimit: 0,
    target: 'es2022',
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        hashCharacters: 'hex',
        entryFileNames: 'app-[hash:16].js',
        chunkFileNames: '[name]-[hash:16].js',
        assetFileNames: '[name]-[hash:16][extname]',
      },
    },
  },
  server: { proxy: { '^/(records|types|attachments|tokens|entity|health|\\.well-known|api|_/(stats|explain|owner-link|changes|metrics|requests|settings|doctor|query|users|types|backups|openapi\\.json))': 'http://127.0.0.1:7700' } },
});
