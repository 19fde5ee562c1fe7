import { defineConfig } from "vite";

export default defineConfig({
  build: {
    outDir: "web/dist",
    rollupOptions: { input: "web/main.ts", output: { entryFileNames: "main.js" } },
  },
});
