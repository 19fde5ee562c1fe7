// Two versions of one package side by side, one of them under an alias.
const http = require("node:http");
const fs = require("node:fs");
const old = require("ms-old/package.json").version;
const has = (name) => fs.existsSync(`${__dirname}/node_modules/${name}`);

require("debug");
http
  .createServer((request, response) =>
    response.end(`ms ${old} linux ${has("@esbuild/linux-x64")} mac ${has("@esbuild/darwin-arm64") || has("fsevents")}`),
  )
  .listen(process.env.PORT);
